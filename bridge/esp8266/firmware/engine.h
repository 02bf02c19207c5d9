/*
 * What runs the application's .wasm. `engine_wasm3.c` interprets it; an ahead-of-time translation can stand
 * in its place.
 */
#ifndef HOLDFAST_ENGINE_H
#define HOLDFAST_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an application's module exports: the core's functions first, all of which it must have. */
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

/* Names of these functions, in their order. */
extern const char *const engine_names[ENGINE_FUNCTIONS];

/* A function that the module may import. Its arguments are i32, `arguments` of them. */
struct engine_import {
  const char *module, *name;
  uint8_t arguments;
  bool returns; /* i32; or nothing */
  uint32_t (*call)(const uint32_t *arguments);
};

/* The fault of a module that needs more memory than there is. */
#define ENGINE_TOO_LARGE "refused: too large for the memory"

/*
 * Makes a module ready to run, in an arena that fits it. `imports` end with a null `module`. It is loaded twice: then
 * `needed` can ask the module itself how many bytes of linear memory it needs, and the board is asked for just what
 * all of it takes.
 *
 * Returns 0, or what is wrong, as in the console's line: "refused: needs board.foo".
 */
const char *engine_load(const uint8_t *wasm, size_t length, const struct engine_import *imports,
                        uint32_t (*needed)(void));

/* The application's name, when it is part of the firmware: ENGINE_AOT. */
extern const char engine_application[];

/* Whether the module exports it. */
bool engine_has(enum engine_function function);

/* Whether it returns something. */
bool engine_returns(enum engine_function function);

/* Whether the module imports the function that this one carries out. */
bool engine_imports(uint32_t (*call)(const uint32_t *arguments));

/* Calls an exported function with as many arguments as it takes (further ones are ignored). Returns what it
 * returns, or 0. After a trap, `engine_trap` says which, and calls do nothing. */
uint32_t engine_call(enum engine_function function, uint32_t a, uint32_t b);

/* Why the application cannot go on; 0 while it can. */
const char *engine_trap(void);

/* Where this many bytes at an address of the module are; 0 if they are not all within its memory. */
void *engine_at(uint32_t address, uint32_t length);

#ifdef MEASURE
/* Says on the console what the memory of the arena is used for. */
void engine_measure(void);
#endif

#endif
