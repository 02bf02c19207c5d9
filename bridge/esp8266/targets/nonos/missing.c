/* What the vendor's libraries want of the C library that they were linked with, and neither the chip's ROM nor they
 * themselves have. In RAM: they read it a byte at a time. */
#include <stddef.h>
#include <stdint.h>

void *memchr(const void *bytes, int value, size_t length) {
  const uint8_t *at = bytes;
  for (; length--; at++) {
    if (*at == (uint8_t)value) return (void *)at;
  }
  return 0;
}

enum { UPPER = 1, LOWER = 2, DIGIT = 4, SPACE = 8, PUNCTUATION = 16, CONTROL = 32, HEX = 64, BLANK = 128 };

/* The class of each character, behind that of EOF. Only names of servers are looked at, which are of ASCII. */
static uint8_t classes[1 + 128] = {
  [1] = CONTROL,
  [1 + 1 ... 1 + 8] = CONTROL,
  [1 + 9 ... 1 + 13] = CONTROL | SPACE,
  [1 + 14 ... 1 + 31] = CONTROL,
  [1 + ' '] = SPACE | BLANK,
  [1 + '!' ... 1 + '/'] = PUNCTUATION,
  [1 + '0' ... 1 + '9'] = DIGIT,
  [1 + ':' ... 1 + '@'] = PUNCTUATION,
  [1 + 'A' ... 1 + 'F'] = UPPER | HEX,
  [1 + 'G' ... 1 + 'Z'] = UPPER,
  [1 + '[' ... 1 + '`'] = PUNCTUATION,
  [1 + 'a' ... 1 + 'f'] = LOWER | HEX,
  [1 + 'g' ... 1 + 'z'] = LOWER,
  [1 + '{' ... 1 + '~'] = PUNCTUATION,
  [1 + 127] = CONTROL,
};
const uint8_t *__ctype_ptr__ = classes;

/* What the SDK starts first. Its espconn is not used (see tcp.c), and so has no need of a task and its memory. */
void espconn_init(void);
void espconn_init(void) {}
