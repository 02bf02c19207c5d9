#include "text.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void text_encode(const uint8_t *bytes, char *to, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    unsigned bit = i * 6, at = bit / 8, shift = bit % 8;
    unsigned pair = bytes[at] << 8 | (shift > 2 ? bytes[at + 1] : 0);
    to[i] = digits[pair >> (10 - shift) & 63];
  }
}

static int digit(uint8_t c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

size_t text_bytes(const struct text_field *field) {
  for (size_t i = 0; i < field->length; i++) {
    if (digit(field->at[i]) < 0) return 0;
  }
  return field->length % 4 == 1 ? 0 : field->length * 3 / 4;
}

void text_decode(const struct text_field *field, size_t from, uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t bit = (from + i) * 8, at = bit / 6, shift = bit % 6;
    unsigned pair = digit(field->at[at]) << 6 | digit(field->at[at + 1]);
    bytes[i] = pair >> (4 - shift);
  }
}

bool text_field(struct text_field *rest, struct text_field *field) {
  if (!rest->length) return false;
  field->at = rest->at;
  field->length = 0;
  while (field->length < rest->length && rest->at[field->length] != ' ') field->length++;
  bool last = field->length == rest->length;
  rest->at += field->length + !last;
  rest->length -= field->length + !last;
  return field->length && (last || rest->length); /* a space at the end is followed by nothing */
}

bool text_number(struct text_field *rest, uint32_t *number) {
  struct text_field field;
  if (!text_field(rest, &field) || field.length > 10) return false;
  *number = 0;
  for (size_t i = 0; i < field.length; i++) {
    uint32_t c = field.at[i] - '0';
    if (c > 9 || *number > (0xFFFFFFFFu - c) / 10) return false;
    *number = *number * 10 + c;
  }
  return true;
}

size_t text_put(char *to, size_t at, const char *text) {
  while (*text) to[at++] = *text++;
  return at;
}

size_t text_put_number(char *to, size_t at, uint32_t number) {
  char text[10];
  unsigned count = 0;
  do text[count++] = '0' + number % 10;
  while (number /= 10);
  while (count) to[at++] = text[--count];
  return at;
}
