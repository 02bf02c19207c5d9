/*
 * Included before every file of wasm3, and before engine_wasm3.c: configures wasm3 for a chip with 80 KB of RAM,
 * whose flash can be read only in words.
 */
#ifndef HOLDFAST_WASM3_CONFIG_H
#define HOLDFAST_WASM3_CONFIG_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "bytes.h"

#define d_m3CascadedOpcodes 0
#define d_m3VerboseErrorMessages 0
#define d_m3HasFloat 0
#define d_m3NoFloatDynamic 0
#define d_m3RecordBacktraces 0
#define d_m3MaxConstantTableSize 32
#define d_m3MaxFunctionStackHeight 88 /* also sets the stack of values to 640 bytes: they share memory */
#define d_m3MaxDuplicateFunctionImpl 1
#define m3_most_depth 16 /* of nested blocks: with more, compiling needs more stack than there is */

/* wasm3's strings and tables are in flash, and so is the module. */
#define memcpy bytes_copy
#define memmove bytes_move
#define memset bytes_fill
#define memcmp bytes_compare
#define strlen text_length
#define strcmp text_compare

/* Loads and stores of WebAssembly may have any alignment; the chip's must be aligned. */
typedef uint32_t __attribute__((may_alias)) m3_word;
typedef uint16_t __attribute__((may_alias)) m3_half;

static inline __attribute__((always_inline)) void m3_load(void *to, const void *from, size_t length) {
  const uint8_t *at = from;
  uint8_t *value = to;
  if (length == 4) {
    uint32_t word;
    if (!((uintptr_t)at & 3)) {
      __asm__("l32i %0, %1, 0" : "=r"(word) : "r"(at), "m"(*(const m3_word *)at)); /* otherwise the compiler uses bytes for both */
    } else word = at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
    *(m3_word *)value = word;
  } else if (length == 2) {
    *(m3_half *)value = at[0] | at[1] << 8;
  } else {
    while (length--) *value++ = *at++;
  }
}

static inline __attribute__((always_inline)) void m3_store(void *to, const void *from, size_t length) {
  uint8_t *at = to;
  const uint8_t *value = from;
  if (length == 4) {
    uint32_t word = *(const m3_word *)value;
    if (!((uintptr_t)at & 3)) {
      __asm__("s32i %1, %2, 0" : "=m"(*(m3_word *)at) : "r"(word), "r"(at));
    } else {
      at[0] = word;
      at[1] = word >> 8;
      at[2] = word >> 16;
      at[3] = word >> 24;
    }
  } else if (length == 2) {
    uint16_t half = *(const m3_half *)value;
    at[0] = half;
    at[1] = half >> 8;
  } else {
    while (length--) *at++ = *value++;
  }
}

/* wasm3's memory is the arena. */
#define calloc(count, size) arena_allocate((count) * (size))
#define realloc(block, size) arena_resize((block), (size), i_oldSize) /* the only caller has this variable */
#define free arena_release

#endif
