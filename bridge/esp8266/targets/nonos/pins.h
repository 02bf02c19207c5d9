/* Pins: gpio.c uses pwm.c and pins.c, and pwm.c uses pins.c. */
#ifndef NONOS_PINS_H
#define NONOS_PINS_H

#include <stdbool.h>

/* Whether an application may use the pin. */
bool pins_usable(unsigned pin);

/* Makes the pin an output and sets it. */
void pins_output(unsigned pin, bool high);

/* Makes the pin an open-drain line, and releases it or pulls it low. */
void pins_line(unsigned pin, bool released);

/* Ends a pin's use as a PWM output. Does nothing if it is not one. */
void pwm_release(unsigned pin);

#endif
