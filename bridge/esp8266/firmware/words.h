/*
 * Memory that can be accessed only in whole words: on the ESP8266, the rest of the RAM for code. Data for which that is
 * enough are there, so that the heap has more of the other RAM.
 *
 * It is read like flash: also in bytes, as -mforce-l32 turns them into words. There is no such option for writing, so
 * data here must be written as words, or by these two functions; and only our own code may get a pointer to them.
 */
#ifndef HOLDFAST_WORDS_H
#define HOLDFAST_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* For a variable that consists of words. It starts as zeros. */
#ifdef __XTENSA__
#define IN_WORDS __attribute__((section(".words,\"aw\",@nobits#")))
#else
#define IN_WORDS
#endif

/* Writes a byte at offset `at`, in bytes. Inline, so that interrupts can use it, whose code is not in flash. */
static inline __attribute__((always_inline)) void words_put(uint32_t *words, size_t at, uint8_t byte) {
  volatile uint32_t *word = words + at / 4; /* volatile: the compiler must not store a byte */
  unsigned shift = at % 4 * 8;
  *word = (*word & ~((uint32_t)0xFF << shift)) | (uint32_t)byte << shift;
}

/* Copies to offset `at`, in bytes, from any memory, even from a higher offset in the same words. */
void words_copy(uint32_t *words, size_t at, const void *from, size_t length);

#endif
