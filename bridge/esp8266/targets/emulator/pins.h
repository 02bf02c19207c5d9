#ifndef EMULATOR_PINS_H
#define EMULATOR_PINS_H

#include <stdbool.h>

/* Nothing pulls any of them low. Call it at the start. */
void pins_begin(void);

/*
 * What another program is told of a pin, in a byte: one of these, times 32, and the pin. It answers PIN_READ with
 * one, the level.
 */
enum { PIN_LOW, PIN_HIGH, PIN_LINE_LOW, PIN_LINE_RELEASED, PIN_READ };

/* From here on pins are another program's: it reads PATH.from and writes PATH.to, which are there. */
void pins_elsewhere(const char *path);

/* The world pulls a pin, which is the host's, to a level. */
void pins_pulled(unsigned pin, bool high);

/* The world sets the analogue input. */
void pins_analogue(unsigned value);

#endif
