/* Common to all fuzzers: reading the input byte by byte, and ending the program when a promise is broken. */
#ifndef HOLDFAST_FUZZ_INPUT_H
#define HOLDFAST_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static inline void require(bool good) {
  if (!good) abort();
}

static const uint8_t *input;
static size_t left;

/* 0 at the end of the input. */
static inline unsigned next(void) {
  if (!left) return 0;
  left--;
  return *input++;
}

#endif
