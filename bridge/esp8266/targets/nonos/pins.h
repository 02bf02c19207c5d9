/* Pins, for those above them: gpio.c uses pwm.c and pins.c, and pwm.c uses pins.c. */
#ifndef NONOS_PINS_H
#define NONOS_PINS_H

#include <stdbool.h>

/* Whether an application may have it. */
bool pins_usable(unsigned pin);

/* Makes the pin an output and sets it, whatever it was. */
void pins_output(unsigned pin, bool high);

/* Makes the pin an open-drain line, whatever it was, and lets go of it or pulls it low. */
void pins_line(unsigned pin, bool released);

/* Ends a pin's use as a PWM output. Harmless if it is not one. */
void pwm_release(unsigned pin);

#endif
