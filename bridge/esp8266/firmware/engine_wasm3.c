/* The interpreter: wasm3, configured in wasm3_config.h. */
#include "engine.h"

#include "arena.h"
#include "bytes.h"
#include "m3_env.h"

/* Bytes of the stack for the values of WebAssembly. */
#ifndef ENGINE_STACK
#define ENGINE_STACK 1024
#endif

const char *const engine_names[ENGINE_FUNCTIONS] = {
  "registers", "init", "opened", "closed", "received", "poll", "take",
  "room", "write", "onStart", "onMessage", "onState", "onTick",
};

static IM3Runtime runtime;
static IM3Function functions[ENGINE_FUNCTIONS];
static const char *trap;

/* The one function that wasm3 calls: reads the arguments, which wasm3 keeps in 64 bits each, behind the result. */
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

/* Says of what kind a function is, as wasm3 writes it: "i(ii)". */
static void signature(const struct engine_import *import, char text[8]) {
  *text++ = import->returns ? 'i' : 'v';
  *text++ = '(';
  for (unsigned i = 0; i < import->arguments; i++) *text++ = 'i';
  *text++ = ')';
  *text = 0;
}

static char complaint[64];

static const char *complain(const char *text, const char *module, const char *name) {
  const char *parts[] = { text, module, module ? "." : 0, name };
  char *at = complaint, *end = complaint + sizeof complaint - 1;
  for (unsigned i = 0; i < 4; i++) {
    for (const char *part = parts[i]; part && *part && at < end; part++) {
      *at++ = (uint8_t)*part > ' ' && *part < 127 ? *part : i ? '?' : *part;
    }
  }
  *at = 0;
  return complaint;
}

static const char *link(IM3Module module, const struct engine_import *imports) {
  for (; imports->module; imports++) {
    char kind[8];
    signature(imports, kind);
    M3Result result = m3_LinkRawFunctionEx(module, imports->module, imports->name, kind, call_import, imports);
    if (result && result != m3Err_functionLookupFailed) {
      return complain("refused: another kind of ", imports->module, imports->name);
    }
  }
  for (uint32_t i = 0; i < module->numFuncImports; i++) {
    IM3Function function = &module->functions[i];
    if (!function->compiled) {
      return complain("refused: needs ", function->import.moduleUtf8, function->import.fieldUtf8);
    }
  }
  return 0;
}

static const char *prepare(const uint8_t *wasm, size_t length, const struct engine_import *imports, uint32_t memory) {
  arena_reset();
  trap = 0;
  m3_memory = 0;
  m3_too_far = false;
  IM3Environment environment = m3_NewEnvironment();
  runtime = environment ? m3_NewRuntime(environment, ENGINE_STACK, 0) : 0;
  if (!runtime) return "too large: no memory";
  runtime->memoryLimit = memory;
  IM3Module module;
  M3Result result = m3_ParseModule(environment, &module, wasm, length);
  if (result) return complain("refused: ", 0, result);
  result = m3_LoadModule(runtime, module);
  if (result) return complain("refused: ", 0, result);
  if (!runtime->memory.mallocated) return "refused: no memory";
  m3_memory = (uint8_t *)runtime->memory.mallocated;
  const char *wrong = link(module, imports);
  if (wrong) return wrong;
  for (int i = 0; i < ENGINE_FUNCTIONS; i++) {
    functions[i] = v_FindFunction(module, engine_names[i]);
    if (!functions[i] && i < ON_START) return complain("refused: exports no ", 0, engine_names[i]);
  }
  return 0;
}

const char *engine_load(const uint8_t *wasm, size_t length, const struct engine_import *imports,
                        uint32_t (*needed)(void)) {
  /* Once with more memory than there will be, to see how much it takes, and once more with that. */
  const char *wrong = prepare(wasm, length, imports, 4096);
  if (wrong) return wrong;
  uint32_t memory = needed();
  if (trap) return complain("refused: ", 0, trap);
  wrong = prepare(wasm, length, imports, (memory + 7) & ~7u);
  if (wrong) return wrong;
  /* All of it is compiled now, from here: compiling takes a deep stack, and memory. */
  IM3Module module = runtime->modules;
  for (uint32_t i = module->numFuncImports; i < module->numFunctions; i++) {
    IM3Function function = &module->functions[i];
    M3Result result = function->compiled ? 0 : CompileFunction(function);
    if (result) return complain("refused: ", 0, result);
  }
  if (m3_too_far) return "refused: too large for the interpreter";
  if (module->startFunction >= 0) {
    M3Result result = m3_RunStart(module);
    if (result) return complain("refused: ", 0, result);
  }
  return 0;
}

bool engine_has(enum engine_function function) {
  return functions[function] != 0;
}

uint32_t engine_call(enum engine_function which, uint32_t a, uint32_t b) {
  IM3Function function = functions[which];
  if (!function || trap) return 0;
  M3Result result = function->compiled ? 0 : CompileFunction(function);
  if (!result) {
    uint64_t *stack = runtime->stack;
    unsigned results = function->funcType->numRets;
    stack[results] = a;
    stack[results + 1] = b;
    result = (M3Result)RunCode(function->compiled, (m3stack_t)stack, runtime->memory.mallocated, d_m3OpDefaultArgs);
    if (!result) return results ? (uint32_t)*stack : 0;
  }
  trap = result;
  return 0;
}

const char *engine_trap(void) {
  return trap;
}

void *engine_at(uint32_t address, uint32_t length) {
  M3MemoryHeader *memory = runtime->memory.mallocated;
  if (address > memory->length || length > memory->length - address) return 0;
  return (uint8_t *)(memory + 1) + address;
}
