/* The interpreter: wasm3, configured in wasm3_config.h. */
#include "engine.h"

#include "arena.h"
#include "bytes.h"
#include "m3_env.h"
#include "module.h"
#include "words.h"

const char *const engine_names[ENGINE_FUNCTIONS] = {
  "registers", "init", "opened", "closed", "received", "poll", "take",
  "room", "write", "onStart", "onMessage", "onState", "onTick", "canReceive", "onTrial",
};

/* Linear memory for the first load of a module, in bytes: enough for its data. */
#define FIRST_MEMORY 2048

static IM3Runtime runtime;
static IM3Function functions[ENGINE_FUNCTIONS] IN_WORDS;
static const char *trap;
static const struct engine_import *table;
static uint32_t imported; /* a bit for each entry of the table */

/* The only function that wasm3 calls. wasm3 stores each argument in 64 bits, behind the result. */
static const void *call_import(IM3Runtime unused, IM3ImportContext context, uint64_t *stack, void *memory) {
  (void)unused;
  (void)memory;
  const struct engine_import *import = context->userdata;
  uint32_t arguments[4];
  uint64_t *at = stack + import->returns;
  for (unsigned i = 0; i < import->arguments; i++) arguments[i] = at[i];
  uint32_t result = import->call(arguments);
  if (import->returns) *stack = result;
  return 0;
}

static uint32_t complaint[64 / 4] IN_WORDS;

/* With `module`, both names come from the .wasm and may contain any bytes; otherwise `name` is our text or wasm3's. */
static const char *complain(const char *text, const char *module, const char *name) {
  const char *parts[] = { text, module, module ? "." : 0, name };
  size_t at = 0;
  for (unsigned i = 0; i < 4; i++) {
    for (const char *part = parts[i]; part && *part && at < sizeof complaint - 1; part++) {
      words_put(complaint, at++, !module || !i || (*part > ' ' && *part < 127) ? *part : '?');
    }
  }
  words_put(complaint, at, 0);
  return (const char *)complaint;
}

static const char *complain_of(const char *text, const struct module_name *module, const struct module_name *name) {
  char words[2][24];
  const struct module_name *names[] = { module, name };
  for (int i = 0; i < 2; i++) {
    uint32_t length = names[i]->length < 23 ? names[i]->length : 23;
    bytes_copy(words[i], names[i]->text, length);
    words[i][length] = 0;
  }
  return complain(text, words[0], words[1]);
}

static bool fits(IM3Function function, const struct engine_import *import) {
  IM3FuncType type = function->funcType; /* everything is i32 */
  return type->numArgs == import->arguments && type->numRets == import->returns;
}

static const char *link_import(IM3Module module, uint32_t index, const struct engine_import *imports,
                               const struct module_name *of, const struct module_name *name) {
  for (; imports->module; imports++) {
    if (!module_is(of, imports->module) || !module_is(name, imports->name)) continue;
    IM3Function function = &module->functions[index];
    imported |= (uint32_t)1 << (imports - table);
    if (!fits(function, imports)) return complain_of("refused: another kind of ", of, name);
    return CompileRawFunction(module, function, call_import, imports) ? ENGINE_TOO_LARGE : 0;
  }
  return complain_of("refused: needs ", of, name);
}

static const char *link(IM3Module module, const uint8_t *wasm, size_t length, const struct engine_import *imports) {
  const uint8_t *at, *end;
  uint32_t count;
  if (!module_section(wasm, length, 2, &at, &end) || !module_number(&at, end, &count)) return 0;
  for (uint32_t i = 0, index = 0; i < count && at < end; i++) {
    struct module_name of, name;
    uint32_t type;
    if (!module_name(&at, end, &of) || !module_name(&at, end, &name) || at >= end) return "refused: malformed";
    if (*at++) return complain_of("refused: needs ", &of, &name); /* a table, a memory or a global */
    if (!module_number(&at, end, &type)) return "refused: malformed";
    const char *wrong = link_import(module, index++, imports, &of, &name);
    if (wrong) return wrong;
  }
  return 0;
}

/* Finds the exported functions that the firmware calls. */
static void find_exports(IM3Module module, const uint8_t *wasm, size_t length) {
  const uint8_t *at, *end;
  uint32_t count;
  bytes_fill(functions, 0, sizeof functions);
  if (!module_section(wasm, length, 7, &at, &end) || !module_number(&at, end, &count)) return;
  for (uint32_t i = 0; i < count; i++) {
    struct module_name name;
    uint32_t index;
    if (!module_name(&at, end, &name) || at >= end) return;
    bool is_function = !*at++;
    if (!module_number(&at, end, &index)) return;
    if (!is_function || index >= module->numFunctions) continue;
    for (int which = 0; which < ENGINE_FUNCTIONS; which++) {
      if (module_is(&name, engine_names[which])) functions[which] = &module->functions[index];
    }
  }
}

static __attribute__((noinline)) const char *prepare(const uint8_t *wasm, size_t length, const struct engine_import *imports, uint32_t memory) {
  arena_reset();
  trap = 0;
  table = imports;
  imported = 0;
  m3_memory = 0;
  m3_too_far = false;
  IM3Environment environment = m3_NewEnvironment();
  runtime = environment ? m3_NewRuntime(environment, 0, 0) : 0;
  if (!runtime) return ENGINE_TOO_LARGE;
  runtime->memoryLimit = memory;
  IM3Module module;
  M3Result result = m3_ParseModule(environment, &module, wasm, length);
  if (result) return complain("refused: ", 0, result);
  result = m3_LoadModule(runtime, module);
  if (result) return complain("refused: ", 0, result);
  if (!runtime->memory.mallocated) return "refused: no memory";
  m3_memory = (uint8_t *)runtime->memory.mallocated;
  const char *wrong = link(module, wasm, length, imports);
  if (wrong) return wrong;
  find_exports(module, wasm, length);
  for (int i = 0; i < ON_START; i++) {
    if (!functions[i]) return complain("refused: exports no ", 0, engine_names[i]);
  }
  return 0;
}

/* The only page of code; 0: there is no function. */
static IM3CodePage code_page(void) {
  return runtime->pagesOpen ? runtime->pagesOpen : runtime->pagesFull;
}

/* Compiles everything. Called with a shallow stack, as compiling needs a deep one. */
static __attribute__((noinline)) const char *compile(void) {
  IM3Module module = runtime->modules;
  for (uint32_t i = module->numFuncImports; i < module->numFunctions; i++) {
    M3Result result = CompileFunction(module, &module->functions[i]);
    if (result == m3Err_mallocFailedCodePage) return ENGINE_TOO_LARGE;
    if (result) return complain("refused: ", 0, result);
  }
  /* The page got all remaining memory: gives back the rest. */
  IM3CodePage page = code_page();
  if (page) arena_trim(sizeof page->info + (page->info.lineIndex + d_m3CodePageFreeLinesThreshold) * sizeof(code_t));
  if (m3_too_far) return "refused: too large for the interpreter";
  bytes_fill(runtime->stack, 0, sizeof(M3Compilation));
  return 0;
}

/* Inline, to have one frame less on the stack while it compiles. */
static inline __attribute__((always_inline)) const char *prepare_all(
  const uint8_t *wasm, size_t length, const struct engine_import *imports, uint32_t memory
) {
  const char *wrong = prepare(wasm, length, imports, memory);
  if (!wrong) wrong = compile();
  return arena_refused() ? ENGINE_TOO_LARGE : wrong;
}

const char *engine_load(const uint8_t *wasm, size_t length, const struct engine_import *imports,
                        uint32_t (*needed)(void)) {
  /* Loads it once with memory for only the module's data, to measure how much it needs, and again with that much. */
  arena_open();
  const char *wrong = prepare_all(wasm, length, imports, FIRST_MEMORY);
  if (wrong) return wrong;
  uint32_t memory = (needed() + 7) & ~7u;
  if (trap) return complain("refused: ", 0, trap);
  /* Everything else takes the same as before; only the length of the linear memory differs. */
  if (memory > ARENA_MOST || !arena_fit(arena_used() - FIRST_MEMORY + memory)) return ENGINE_TOO_LARGE;
  wrong = prepare_all(wasm, length, imports, memory);
  if (wrong) return wrong;
  IM3Module module = runtime->modules;
  if (module->startFunction >= 0) {
    M3Result result = m3_RunStart(module);
    if (result) return complain("refused: ", 0, result);
  }
  return 0;
}

bool engine_has(enum engine_function function) {
  return functions[function] != 0;
}

bool engine_returns(enum engine_function function) {
  return functions[function] && functions[function]->funcType->numRets;
}

bool engine_imports(uint32_t (*call)(const uint32_t *arguments)) {
  for (uint32_t i = 0; table && table[i].module; i++) {
    if (table[i].call == call) return imported >> i & 1;
  }
  return false;
}

uint32_t engine_call(enum engine_function which, uint32_t a, uint32_t b) {
  IM3Function function = functions[which];
  if (!function || trap) return 0;
  uint64_t *stack = runtime->stack;
  unsigned results = function->funcType->numRets;
  stack[results] = a;
  stack[results + 1] = b;
  trap = RunCode(function->compiled, (m3stack_t)stack, runtime->memory.mallocated, d_m3OpDefaultArgs);
  return trap || !results ? 0 : (uint32_t)*stack;
}

const char *engine_trap(void) {
  return trap;
}

void *engine_at(uint32_t address, uint32_t length) {
  M3MemoryHeader *memory = runtime->memory.mallocated;
  if (address > memory->length || length > memory->length - address) return 0;
  return (uint8_t *)(memory + 1) + address;
}

#ifdef MEASURE
#include "console.h"

/* The contents of the arena, for README's tables. */
void engine_measure(void) {
  IM3Module module = runtime->modules;
  uint32_t constants = 0;
  for (uint32_t i = 0; i < module->numFunctions; i++) {
    IM3Function function = &module->functions[i];
    constants += (function->numConstants << function->wideConstants) * sizeof(code_t);
  }
  IM3CodePage page = code_page();
  console_memory("code", page->info.lineIndex * sizeof(code_t) - constants);
  console_memory("code-spare", NumFreeLines(page) * sizeof(code_t) + sizeof page->info);
  console_memory("constants", constants);
  console_memory("functions", module->numFunctions * sizeof(M3Function));
  console_memory("globals", module->numGlobals * sizeof(M3Global));
  console_memory("runtime", sizeof(M3Runtime) - sizeof(M3Compilation) + sizeof(M3Environment) + sizeof(M3Module));
  const uint32_t *stack = runtime->stack; /* it was zeroed, so this is how much was used, or slightly less */
  unsigned top = sizeof(M3Compilation) / 4;
  while (top && !stack[top - 1]) top--;
  console_memory("stack", sizeof(M3Compilation));
  console_memory("stack-used", top * 4);
  console_memory("linear", runtime->memory.mallocated->length + sizeof(M3MemoryHeader));
  struct arena_use use = arena_use();
  console_memory("lost", use.lost);
  console_memory("used", use.used);
  console_memory("given", use.length);
  console_memory("refused", use.refused);
}
#endif
