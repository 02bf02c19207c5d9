#ifndef EMULATOR_PINS_H
#define EMULATOR_PINS_H

#include <stdbool.h>

/* At the start: nothing pulls a pin low. */
void pins_begin(void);

/*
 * Messages about a pin to another program, in one byte: one of these times 32, plus the pin. It answers PIN_READ with
 * one byte, the level.
 */
enum { PIN_LOW, PIN_HIGH, PIN_LINE_LOW, PIN_LINE_RELEASED, PIN_READ };

/* From now on another program has the pins: it reads PATH.from and writes PATH.to, which exist. */
void pins_elsewhere(const char *path);

/* The level of a pin from outside has changed. */
void pins_pulled(unsigned pin, bool high);

/* Sets the analogue input. */
void pins_analogue(unsigned value);

#endif
