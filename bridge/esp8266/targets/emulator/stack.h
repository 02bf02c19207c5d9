/* Measures the use of the C stack, in a build with MEASURE. */
#ifndef EMULATOR_STACK_H
#define EMULATOR_STACK_H

#include <stdint.h>

/* Paints the unused part. */
void stack_paint(void);

/* After the start: notes how much it has used, and paints again. */
void stack_started(void);

/* Prints on the console how much was used by the start, and since. */
void stack_measure(void);

#endif
