#include "i2c.h"

/* Most clocks until a device that is stuck in the middle of a byte releases SDA. */
#define CLOCKS_TO_FREE 9

static void wait_half(struct i2c *i2c) { i2c->lines->delay_us(i2c->lines->board, i2c->half_us); }

static void scl_low(struct i2c *i2c) { i2c->lines->scl(i2c->lines->board, 0); }

static void sda(struct i2c *i2c, int level) { i2c->lines->sda(i2c->lines->board, level); }

static int sda_level(struct i2c *i2c) { return i2c->lines->sda_level(i2c->lines->board); }

/* Releases SCL and waits until it is high: a device may stretch the clock. Returns 0 or I2C_STUCK. */
static int scl_high(struct i2c *i2c) {
  uint32_t waited = 0;
  i2c->lines->scl(i2c->lines->board, 1);
  while (!i2c->lines->scl_level(i2c->lines->board)) {
    if (waited >= I2C_STRETCH_US || i2c->stretched >= I2C_STRETCHES_US) return I2C_STUCK;
    i2c->lines->delay_us(i2c->lines->board, 1);
    waited++;
    i2c->stretched++;
  }
  return 0;
}

/* One clock, from SCL low to SCL low. Returns the level of SDA at its end, or I2C_STUCK. */
static int clock_bit(struct i2c *i2c, int level) {
  int seen;
  sda(i2c, level);
  wait_half(i2c);
  if (scl_high(i2c)) return I2C_STUCK;
  wait_half(i2c);
  seen = sda_level(i2c);
  scl_low(i2c);
  return seen;
}

/* Releases both lines. */
static int give_up(struct i2c *i2c) {
  sda(i2c, 1);
  i2c->lines->scl(i2c->lines->board, 1);
  return I2C_STUCK;
}

/* From SCL low to both lines high. */
static int stop(struct i2c *i2c) {
  sda(i2c, 0);
  wait_half(i2c);
  if (scl_high(i2c)) return give_up(i2c);
  wait_half(i2c);
  sda(i2c, 1);
  wait_half(i2c);
  return sda_level(i2c) ? 0 : I2C_STUCK;
}

int i2c_free(struct i2c *i2c) {
  int clocks;
  i2c->stretched = 0;
  sda(i2c, 1);
  if (scl_high(i2c)) return give_up(i2c);
  for (clocks = 0; !sda_level(i2c); clocks++) {
    if (clocks == CLOCKS_TO_FREE) return give_up(i2c);
    scl_low(i2c);
    wait_half(i2c);
    if (scl_high(i2c)) return give_up(i2c);
    wait_half(i2c);
  }
  scl_low(i2c);
  wait_half(i2c);
  return stop(i2c);
}

int i2c_open(struct i2c *i2c, const struct i2c_lines *lines, uint32_t hz) {
  i2c->lines = lines;
  i2c->half_us = hz ? (500000u + hz - 1) / hz : 500u;
  if (i2c->half_us == 0) i2c->half_us = 1;
  return i2c_free(i2c);
}

/* Sends a byte. Returns 0 if it was acknowledged, 1 if not, or I2C_STUCK. */
static int send_byte(struct i2c *i2c, uint8_t byte) {
  int bit;
  for (bit = 7; bit >= 0; bit--) {
    int level = byte >> bit & 1;
    int seen = clock_bit(i2c, level);
    if (seen < 0 || seen != level) return I2C_STUCK; /* there is no other master */
  }
  return clock_bit(i2c, 1);
}

/* Receives a byte and acknowledges it, or not. Returns it, or I2C_STUCK. */
static int receive_byte(struct i2c *i2c, int acknowledge) {
  int byte = 0;
  int bit;
  for (bit = 0; bit < 8; bit++) {
    int seen = clock_bit(i2c, 1);
    if (seen < 0) return I2C_STUCK;
    byte = byte << 1 | seen;
  }
  return clock_bit(i2c, !acknowledge) < 0 ? I2C_STUCK : byte;
}

/* Start condition and address. Returns 0 if a device acknowledges, I2C_NO_DEVICE or I2C_STUCK. */
static int start(struct i2c *i2c, uint8_t address, int read) {
  int result;
  i2c->stretched = 0;
  sda(i2c, 1);
  if (scl_high(i2c)) return give_up(i2c);
  if (!sda_level(i2c)) {
    result = i2c_free(i2c);
    if (result) return result;
  }
  sda(i2c, 0);
  wait_half(i2c);
  scl_low(i2c);
  result = send_byte(i2c, (uint8_t)(address << 1 | read));
  if (result < 0) return give_up(i2c);
  if (result == 0) return 0;
  result = stop(i2c);
  return result ? result : I2C_NO_DEVICE;
}

int i2c_send(struct i2c *i2c, uint8_t address, const uint8_t *bytes, size_t length) {
  size_t done = 0;
  int result = start(i2c, address, 0);
  if (result) return result;
  while (done < length) {
    result = send_byte(i2c, bytes[done]);
    if (result < 0) return give_up(i2c);
    if (result) break;
    done++;
  }
  result = stop(i2c);
  return result ? result : (int)done;
}

int i2c_receive(struct i2c *i2c, uint8_t address, uint8_t *bytes, size_t length) {
  size_t done;
  int result = start(i2c, address, 1);
  if (result) return result;
  for (done = 0; done < length; done++) {
    result = receive_byte(i2c, done + 1 < length);
    if (result < 0) return give_up(i2c);
    bytes[done] = (uint8_t)result;
  }
  result = stop(i2c);
  return result ? result : (int)length;
}
