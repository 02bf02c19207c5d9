/* Clears the memory that takes only words. (The SDK clears .bss.) */
#include "words.h"

#include "parts.h"

void words_clear(void) {
  extern uint32_t _words_start[], _words_end[];
  for (volatile uint32_t *word = _words_start; word < _words_end; word++) *word = 0;
}
