#include "words.h"

void words_copy(uint32_t *words, size_t at, const void *from, size_t length) {
  const uint8_t *source = from;
  while (length--) words_put(words, at++, *source++);
}
