/*
 * Bytes that may be in flash, where only aligned words can be read. The compiler turns every load of a byte
 * in our code into one of a word (-mforce-l32); the C library's functions know nothing of that, so these
 * stand in for them.
 */
#ifndef HOLDFAST_BYTES_H
#define HOLDFAST_BYTES_H

#include <stddef.h>
#include <stdint.h>

void *bytes_copy(void *to, const void *from, size_t length);
/* Also where the two overlap. */
void *bytes_move(void *to, const void *from, size_t length);
void *bytes_fill(void *to, int value, size_t length);
int bytes_compare(const void *a, const void *b, size_t length);
size_t text_length(const char *text);
int text_compare(const char *a, const char *b);

#endif
