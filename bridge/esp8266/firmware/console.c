#include "console.h"

#include "port.h"
#include "words.h"

/* Most bytes of a line, without its end. */
#define MOST 256

void (*console_listener)(const uint8_t *line, size_t length);

static uint32_t line[(MOST + 2 + 3) / 4] IN_WORDS;
static size_t length;

static void byte(uint8_t value) {
  if (length < MOST) words_put(line, length++, value);
}

void console_text(const char *text) {
  while (*text) byte(*text++);
}

void console_begin(const char *text) {
  length = 0;
  console_text("holdfast: ");
  console_text(text);
}

void console_hex(uint8_t value) {
  for (int shift = 4; shift >= 0; shift -= 4) {
    uint8_t nibble = value >> shift & 15;
    byte(nibble < 10 ? '0' + nibble : 'a' - 10 + nibble);
  }
}

void console_value(const char *text, size_t count) {
  for (; count; count--, text++) {
    uint8_t value = *text;
    if (value > ' ' && value != '%' && value != 127) byte(value);
    else {
      byte('%');
      console_hex(value);
    }
  }
}

void console_number(uint32_t number) {
  uint8_t digits[10];
  int count = 0;
  do digits[count++] = '0' + number % 10;
  while (number /= 10);
  while (count) byte(digits[--count]);
}

void console_end(void) {
  const uint8_t *bytes = (const uint8_t *)line;
  words_put(line, length, '\r');
  words_put(line, length + 1, '\n');
  port_serial_write(bytes, length + 2);
  if (console_listener) console_listener(bytes, length);
}

void console_line(const char *text) {
  console_begin(text);
  console_end();
}

void console_application(const uint8_t *text, size_t count) {
  length = 0;
  console_text("app: ");
  for (; count; count--, text++) byte(*text < ' ' || *text == 127 ? '?' : *text);
  console_end();
}

#ifdef MEASURE
void console_memory(const char *what, uint32_t bytes) {
  console_begin("memory ");
  console_text(what);
  console_text("=");
  console_number(bytes);
  console_end();
}
#endif
