/*
 * Lines on the serial port for people and programs: "holdfast: link up connects=1". A line is composed piece by
 * piece in one buffer, and cut off if it is too long.
 */
#ifndef HOLDFAST_CONSOLE_H
#define HOLDFAST_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/* Begins a line with "holdfast: " and the text. */
void console_begin(const char *text);
/* Appends: a text as it is; with spaces, control characters and '%' percent-encoded; a number; two hex digits. */
void console_text(const char *text);
void console_value(const char *text, size_t length);
void console_number(uint32_t number);
void console_hex(uint8_t byte);
/* Ends the line and prints it. */
void console_end(void);

/* Prints "holdfast: " and a text. */
void console_line(const char *text);

/* Prints "app: " and the application's text, with '?' for control characters. */
void console_application(const uint8_t *text, size_t length);

#ifdef MEASURE
/* "holdfast: memory stack=648". */
void console_memory(const char *what, uint32_t bytes);
#endif

/* Called with each line, without its end, after it was printed; may be 0. */
extern void (*console_listener)(const uint8_t *line, size_t length);

#endif
