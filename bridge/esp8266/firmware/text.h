/* Parses and composes texts: fields between spaces, numbers, and bytes in base64url without padding. */
#ifndef HOLDFAST_TEXT_H
#define HOLDFAST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A part of a text, up to a space or its end. */
struct text_field {
  const uint8_t *at;
  size_t length;
};

/* Takes the next field from the front of the rest. False: there is none, or it is empty. */
bool text_field(struct text_field *rest, struct text_field *field);
/* The same for a decimal number. */
bool text_number(struct text_field *rest, uint32_t *number);

/* How many bytes the base64url digits of a field encode; 0: they are invalid. */
size_t text_bytes(const struct text_field *field);
/* Decodes `count` of these bytes, from the one at `from` on. */
void text_decode(const struct text_field *field, size_t from, uint8_t *bytes, size_t count);
/* Encodes bytes as this many digits. */
void text_encode(const uint8_t *bytes, char *to, unsigned count);

/* Writes at `at`, without a zero at the end, and returns the next position. */
size_t text_put(char *to, size_t at, const char *text);
size_t text_put_number(char *to, size_t at, uint32_t number);

#endif
