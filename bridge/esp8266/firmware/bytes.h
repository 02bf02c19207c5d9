/*
 * Functions for bytes that may be in flash, where only aligned words can be read. In our code the compiler turns
 * every load of a byte into one of a word (-mforce-l32); the C library was compiled without that, so these replace
 * its functions.
 */
#ifndef HOLDFAST_BYTES_H
#define HOLDFAST_BYTES_H

#include <stddef.h>
#include <stdint.h>

void *bytes_copy(void *to, const void *from, size_t length);
/* The two may overlap. */
void *bytes_move(void *to, const void *from, size_t length);
void *bytes_fill(void *to, int value, size_t length);
int bytes_compare(const void *a, const void *b, size_t length);
size_t text_length(const char *text);
int text_compare(const char *a, const char *b);

#endif
