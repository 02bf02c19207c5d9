/* Memory that takes words only: it starts as zeros. (The SDK does that for .bss.) */
#include "words.h"

#include "parts.h"

void words_clear(void) {
  extern uint32_t _words_start[], _words_end[];
  for (volatile uint32_t *word = _words_start; word < _words_end; word++) *word = 0;
}
