/*
 * An I2C master in software, on two open-drain lines with pull-ups: one master, 7-bit addresses, clock
 * stretching. All waits are bounded, whatever the lines do.
 */
#ifndef HOLDFAST_I2C_H
#define HOLDFAST_I2C_H

#include <stddef.h>
#include <stdint.h>

/* Errors that transfers return instead of a number of bytes, as in client-as/assembly/board.ts. */
#define I2C_NO_DEVICE (-1) /* nobody acknowledged the address */
#define I2C_STUCK (-2)     /* a line is held low */
#define I2C_BAD (-3)       /* never returned here: an application gave wrong arguments */

/* Longest stretch of the clock, and longest sum of them in one transfer. */
#define I2C_STRETCH_US 20000u
#define I2C_STRETCHES_US 100000u

/* The board's functions. A level of 1 releases the line, 0 pulls it low. Each function gets `board`. */
struct i2c_lines {
  void (*scl)(void *board, int level);
  void (*sda)(void *board, int level);
  int (*scl_level)(void *board); /* the line's level, 0 or 1 */
  int (*sda_level)(void *board);
  void (*delay_us)(void *board, uint32_t us); /* waits at least this long */
  void *board;
};

struct i2c {
  const struct i2c_lines *lines;
  uint32_t half_us;   /* half a clock, 1 at least */
  uint32_t stretched; /* us, in this transfer */
};

/* Uses the lines, which must stay valid, at `hz` or less, and frees the bus. Returns 0, or I2C_STUCK: see i2c_free. */
int i2c_open(struct i2c *i2c, const struct i2c_lines *lines, uint32_t hz);

/*
 * Frees the bus from a device that stopped in the middle of a byte: clocks until it releases SDA, then sends a stop
 * condition. Returns 0, or I2C_STUCK if a line stays low.
 */
int i2c_free(struct i2c *i2c);

/* Writes up to `length` bytes. Returns how many were acknowledged, I2C_NO_DEVICE or I2C_STUCK. */
int i2c_send(struct i2c *i2c, uint8_t address, const uint8_t *bytes, size_t length);

/* Reads `length` bytes, 1 at least. Returns `length`, I2C_NO_DEVICE or I2C_STUCK. */
int i2c_receive(struct i2c *i2c, uint8_t address, uint8_t *bytes, size_t length);

#endif
