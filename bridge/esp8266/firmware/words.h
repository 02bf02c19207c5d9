/*
 * Memory that takes whole words only: on the ESP8266, what is left of the RAM for code. What needs no more than that
 * lies there, and leaves the other RAM to the heap.
 *
 * It is read like flash: bytes too, as -mforce-l32 makes words of them. Nothing does that for writing, so what lies
 * here is written as words, or by these two; and only code of ours may be handed a pointer to it.
 */
#ifndef HOLDFAST_WORDS_H
#define HOLDFAST_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* For a variable, of words. It starts as zeros. */
#ifdef __XTENSA__
#define IN_WORDS __attribute__((section(".words,\"aw\",@nobits#")))
#else
#define IN_WORDS
#endif

/* Writes the byte that is at `at`, counted in bytes. Inline, so that interrupts have it, whose code is not in flash. */
static inline __attribute__((always_inline)) void words_put(uint32_t *words, size_t at, uint8_t byte) {
  volatile uint32_t *word = words + at / 4; /* volatile: the compiler must not make a byte's store of it */
  unsigned shift = at % 4 * 8;
  *word = (*word & ~((uint32_t)0xFF << shift)) | (uint32_t)byte << shift;
}

/* Copies to `at`, counted in bytes, from any memory: also from further back in the same. */
void words_copy(uint32_t *words, size_t at, const void *from, size_t length);

#endif
