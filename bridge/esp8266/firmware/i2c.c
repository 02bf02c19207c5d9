#include "i2c.h"

#include <stdbool.h>

#include "port.h"

static unsigned clock_pin, data_pin;
static uint32_t half; /* of a clock period, in microseconds; 0: not begun */

void i2c_begin(unsigned scl, unsigned sda, uint32_t hz) {
  clock_pin = scl;
  data_pin = sda;
  if (hz < 1000) hz = 1000;
  if (hz > 400000) hz = 400000;
  half = (500000 + hz - 1) / hz;
  port_line(clock_pin, true);
  port_line(data_pin, true);
}

/* Lets go of the clock, and waits until nobody stretches it any more. */
static bool clock_up(void) {
  port_line(clock_pin, true);
  uint32_t start = port_us();
  while (!port_line_read(clock_pin)) {
    if (port_us() - start > I2C_STRETCH) return false;
    port_feed_watchdog();
  }
  port_delay_us(half);
  return true;
}

static void clock_down(void) {
  port_line(clock_pin, false);
  port_delay_us(half);
}

/* Puts a bit out, and returns what the line was then; -1: stuck. */
static int bit(bool out) {
  port_line(data_pin, out);
  port_delay_us(1);
  if (!clock_up()) return -1;
  int in = port_line_read(data_pin);
  clock_down();
  return in;
}

static bool stop(void) {
  port_line(data_pin, false);
  port_delay_us(half);
  if (!clock_up()) return false;
  port_line(data_pin, true);
  port_delay_us(half);
  return true;
}

/* A device that was interrupted amid a byte holds the data line: nine clocks make it let go. */
static bool start(void) {
  if (!half) return false;
  port_line(data_pin, true);
  for (int i = 0; i < 9 && !port_line_read(data_pin); i++) {
    if (!clock_up()) return false;
    clock_down();
  }
  if (!clock_up() || !port_line_read(data_pin)) return false;
  port_line(data_pin, false);
  port_delay_us(half);
  clock_down();
  return true;
}

/* 0: acknowledged, 1: not, -1: stuck. */
static int put(uint8_t byte) {
  for (int i = 7; i >= 0; i--) {
    if (bit(byte >> i & 1) < 0) return -1;
  }
  return bit(true);
}

static int get(bool last) {
  int byte = 0;
  for (int i = 0; i < 8; i++) {
    int in = bit(true);
    if (in < 0) return -1;
    byte = byte << 1 | in;
  }
  return bit(last) < 0 ? -1 : byte;
}

static int begin(uint8_t address) {
  if (!start()) return I2C_STUCK;
  int answer = put(address);
  if (answer < 0) return I2C_STUCK;
  if (!answer) return 0;
  return stop() ? I2C_NO_DEVICE : I2C_STUCK;
}

int i2c_write(unsigned address, const uint8_t *bytes, size_t length) {
  int result = begin(address << 1);
  if (result) return result;
  size_t done = 0;
  while (done < length) {
    int answer = put(bytes[done]);
    if (answer < 0) return I2C_STUCK;
    if (answer) break;
    done++;
  }
  return stop() ? (int)done : I2C_STUCK;
}

int i2c_read(unsigned address, uint8_t *bytes, size_t length) {
  int result = begin(address << 1 | 1);
  if (result) return result;
  for (size_t i = 0; i < length; i++) {
    int byte = get(i + 1 == length);
    if (byte < 0) return I2C_STUCK;
    bytes[i] = byte;
  }
  return stop() ? (int)length : I2C_STUCK;
}
