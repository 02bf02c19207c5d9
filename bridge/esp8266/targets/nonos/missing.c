/* Functions of the C library that the vendor's libraries need, and that neither they nor the chip's ROM have. The data
 * are in RAM, as the libraries read them a byte at a time. */
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

/* The class of each character, behind that of EOF. Used only for names of servers, which are ASCII. */
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

/* The SDK calls this first. Its espconn is not used (see tcp.c), so it needs no task and no memory. */
void espconn_init(void);
void espconn_init(void) {}
