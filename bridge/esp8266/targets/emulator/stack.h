/* How much of the C stack is used, in a build with MEASURE. */
#ifndef EMULATOR_STACK_H
#define EMULATOR_STACK_H

#include <stdint.h>

/* Paints what is not in use yet. */
void stack_paint(void);

/* The start is over: notes what it took, and paints that again. */
void stack_started(void);

/* Says on the console what was used, by the start and since. */
void stack_measure(void);

#endif
