#include "bytes.h"

/* Keeps the compiler from turning these loops into calls of memcpy. */
#define PLAIN __attribute__((optimize("no-tree-loop-distribute-patterns")))

PLAIN void *bytes_copy(void *to, const void *from, size_t length) {
  uint8_t *at = to;
  const uint8_t *source = from;
  if (!(((uintptr_t)at | (uintptr_t)source) & 3)) {
    for (; length >= 4; length -= 4, at += 4, source += 4) {
      *(uint32_t *)at = *(const uint32_t *)source;
    }
  }
  while (length--) *at++ = *source++;
  return to;
}

PLAIN void *bytes_move(void *to, const void *from, size_t length) {
  uint8_t *at = to;
  const uint8_t *source = from;
  if (at <= source) return bytes_copy(to, from, length);
  while (length--) at[length] = source[length];
  return to;
}

PLAIN void *bytes_fill(void *to, int value, size_t length) {
  uint8_t *at = to;
  if (!((uintptr_t)at & 3)) {
    uint32_t word = (uint8_t)value * 0x01010101u;
    for (; length >= 4; length -= 4, at += 4) *(uint32_t *)at = word;
  }
  while (length--) *at++ = value;
  return to;
}

int bytes_compare(const void *a, const void *b, size_t length) {
  const uint8_t *left = a, *right = b;
  for (; length; length--, left++, right++) {
    if (*left != *right) return *left - *right;
  }
  return 0;
}

PLAIN size_t text_length(const char *text) {
  const char *end = text;
  while (*end) end++;
  return end - text;
}

int text_compare(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (uint8_t)*a - (uint8_t)*b;
}
