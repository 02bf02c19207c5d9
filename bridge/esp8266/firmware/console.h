/*
 * Lines on the serial port for people and programs: "holdfast: link up connects=1". Put together a piece at a
 * time in one buffer; what does not fit is cut off.
 */
#ifndef HOLDFAST_CONSOLE_H
#define HOLDFAST_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/* Starts "holdfast: " and the text. */
void console_begin(const char *text);
/* Appends: as it is; with spaces, controls and '%' percent-encoded; a number; two hex digits. */
void console_text(const char *text);
void console_value(const char *text, size_t length);
void console_number(uint32_t number);
void console_hex(uint8_t byte);
/* Ends the line and shows it. */
void console_end(void);

/* "holdfast: " and a whole text. */
void console_line(const char *text);

/* "app: " and what the application logs; controls are shown as '?'. */
void console_application(const uint8_t *text, size_t length);

#ifdef MEASURE
/* "holdfast: memory stack=648". */
void console_memory(const char *what, uint32_t bytes);
#endif

/* Called with each line, without its end, when it has been shown; 0: nobody. */
extern void (*console_listener)(const uint8_t *line, size_t length);

#endif
