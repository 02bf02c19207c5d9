/*
 * Runs the application's .wasm. `engine_wasm3.c` interprets it; an ahead-of-time translation can replace
 * that.
 */
#ifndef HOLDFAST_ENGINE_H
#define HOLDFAST_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The exports of an application's module. It must have all of the core's functions, which come first. */
enum engine_function {
  CORE_REGISTERS,
  CORE_INIT,
  CORE_OPENED,
  CORE_CLOSED,
  CORE_RECEIVED,
  CORE_POLL,
  CORE_TAKE,
  CORE_ROOM,
  CORE_WRITE,
  ON_START,
  ON_MESSAGE,
  ON_STATE,
  ON_TICK,
  CAN_RECEIVE,
  ON_TRIAL,
  ENGINE_FUNCTIONS
};

/* The names of these functions, in this order. */
extern const char *const engine_names[ENGINE_FUNCTIONS];

/* A function that the module may import, with this many arguments of type i32. */
struct engine_import {
  const char *module, *name;
  uint8_t arguments;
  bool returns; /* i32; or nothing */
  uint32_t (*call)(const uint32_t *arguments);
};

/* The error for a module that needs more memory than there is. */
#define ENGINE_TOO_LARGE "refused: too large for the memory"

/*
 * Makes a module ready to run, in an arena of the right size. `imports` end with a null `module`. The module is loaded
 * twice: after the first time, `needed` asks it how many bytes of linear memory it needs, and the arena gets exactly
 * the memory for all of it.
 *
 * Returns 0, or the error for the console: "refused: needs board.foo".
 */
const char *engine_load(const uint8_t *wasm, size_t length, const struct engine_import *imports,
                        uint32_t (*needed)(void));

/* The application's name, if it is part of the firmware (ENGINE_AOT). */
extern const char engine_application[];

/* Whether the module exports this function. */
bool engine_has(enum engine_function function);

/* Whether it returns a value. */
bool engine_returns(enum engine_function function);

/* Whether the module imports the function that `call` implements. */
bool engine_imports(uint32_t (*call)(const uint32_t *arguments));

/* Calls an exported function, with as many of the arguments as it takes. Returns its value, or 0. After a trap,
 * calls do nothing, and `engine_trap` says which trap it was. */
uint32_t engine_call(enum engine_function function, uint32_t a, uint32_t b);

/* Why the application cannot go on; 0 while it can. */
const char *engine_trap(void);

/* A pointer to this many bytes at an address of the module; 0 if they are not all within its memory. */
void *engine_at(uint32_t address, uint32_t length);

#ifdef MEASURE
/* Prints the arena's use of memory on the console. */
void engine_measure(void);
#endif

#endif
