/* Sets pins for the firmware: ends their use as PWM outputs first. */
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
