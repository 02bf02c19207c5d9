/*
 * Replaces the interpreter: the application's .wasm, translated to C by wasm2c and compiled with the firmware. It takes
 * RAM only for its linear memory and its globals. aot.ts writes `glue.h`: the application's name (AOT_NAME), how it is
 * instantiated, its imports, and a function with two arguments for each export.
 */
#include "engine.h"

#include "app.h"
#include "arena.h"
#include "bytes.h"
#include "words.h"

const char *const engine_names[ENGINE_FUNCTIONS] = {
  "registers", "init", "opened", "closed", "received", "poll", "take",
  "room", "write", "onStart", "onMessage", "onState", "onTick", "canReceive", "onTrial",
};

static Z_app_instance_t app;
static uint32_t memory_size;

typedef uint32_t (*import_call)(const uint32_t *arguments);

#include "glue.h"

const char engine_application[] = AOT_NAME;

#define IMPORTS (sizeof import_names / sizeof *import_names)

static uint32_t complaint[64 / 4] IN_WORDS;

/* A trap ends the call, or the start, in which it happens: it jumps back to its beginning. */
static void *back[5] IN_WORDS;
static const char *trap;

static bool is_import(const struct engine_import *import, const char *const *name) {
  return !text_compare(import->module, name[0]) && !text_compare(import->name, name[1]);
}

static const char *complain(const char *what, const char *module, const char *name) {
  const char *parts[] = { "refused: ", what, module, module ? "." : 0, name };
  size_t at = 0;
  for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
    const char *part = parts[i];
    for (; part && *part && at < sizeof complaint - 1; part++) words_put(complaint, at++, *part);
  }
  words_put(complaint, at, 0);
  return (const char *)complaint;
}

static bool start(uint32_t memory) {
  memory_size = memory;
  arena_reset();
  bytes_fill(&app, 0, sizeof app);
  trap = 0;
  if (__builtin_setjmp(back)) return false;
  AOT_INSTANTIATE(&app);
  return app.w2c_memory.data != 0;
}

const char *engine_load(const uint8_t *wasm, size_t length, const struct engine_import *imports,
                        uint32_t (*needed)(void)) {
  (void)wasm;
  (void)length;
  for (unsigned i = 0; i < IMPORTS; i++) {
    const struct engine_import *import = imports;
    while (import->module && !is_import(import, import_names[i])) import++;
    if (!import->module) return complain("needs ", import_names[i][0], import_names[i][1]);
    import_calls[i] = import->call;
  }
  /* Starts it once to see how much memory it needs, and again with that much. */
  arena_open();
  if (start(AOT_FIRST_MEMORY)) {
    uint32_t memory = (needed() + 7) & ~7u;
    if (!trap && memory <= ARENA_MOST && arena_fit(memory) && start(memory)) return 0;
  }
  return trap ? complain(trap, 0, 0) : ENGINE_TOO_LARGE;
}

bool engine_has(enum engine_function function) {
  return export_calls[function] != 0;
}

bool engine_returns(enum engine_function function) {
  return export_returns >> function & 1;
}

bool engine_imports(uint32_t (*call)(const uint32_t *arguments)) {
  for (unsigned i = 0; i < IMPORTS; i++) {
    if (import_calls[i] == call) return true;
  }
  return false;
}

uint32_t engine_call(enum engine_function function, uint32_t a, uint32_t b) {
  if (!export_calls[function] || trap) return 0;
#ifndef AOT_UNCHECKED /* for measuring: no checks, no traps */
  if (__builtin_setjmp(back)) return 0;
#endif
  return export_calls[function](a, b);
}

const char *engine_trap(void) {
  return trap;
}

void *engine_at(uint32_t address, uint32_t length) {
  uint32_t size = app.w2c_memory.size;
  return address > size || length > size - address ? 0 : app.w2c_memory.data + address;
}

/* ---- Called by the translated module ---- */

bool wasm_rt_is_initialized(void) {
  return true;
}

void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t most) {
  memory->data = arena_allocate(memory_size);
  memory->size = memory->data ? memory_size : 0;
  memory->pages = pages;
  memory->max_pages = most;
}

void wasm_rt_free_memory(wasm_rt_memory_t *memory) {
  (void)memory;
}

uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *memory, uint32_t pages) {
  (void)memory;
  (void)pages;
  return (uint32_t)-1;
}

uint32_t wasm_rt_register_func_type(uint32_t parameters, uint32_t results, ...) {
  (void)parameters;
  (void)results;
  return 0;
}

/* With the interpreter's messages. */
void wasm_rt_trap(wasm_rt_trap_t reason) {
  switch (reason) {
    case WASM_RT_TRAP_OOB: trap = "[trap] out of bounds memory access"; break;
    case WASM_RT_TRAP_INT_OVERFLOW: trap = "[trap] integer overflow"; break;
    case WASM_RT_TRAP_DIV_BY_ZERO: trap = "[trap] integer divide by zero"; break;
    case WASM_RT_TRAP_UNREACHABLE: trap = "[trap] unreachable executed"; break;
    default: trap = "[trap] undefined element"; break;
  }
  __builtin_longjmp(back, 1);
}

#ifdef MEASURE
#include "console.h"

void engine_measure(void) {
  struct arena_use use = arena_use();
  console_memory("globals", sizeof app);
  console_memory("linear", app.w2c_memory.size);
  console_memory("used", use.used);
  console_memory("given", use.length);
  console_memory("refused", use.refused);
}
#endif
