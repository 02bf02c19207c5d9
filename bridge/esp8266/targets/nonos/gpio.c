/* Pins that the firmware sets: whatever they were made, they are no PWM outputs any more. */
#include "pins.h"
#include "port.h"

void port_gpio_write(unsigned pin, bool high) {
  pwm_release(pin);
  pins_output(pin, high);
}

void port_line(unsigned pin, bool released) {
  pwm_release(pin);
  pins_line(pin, released);
}
