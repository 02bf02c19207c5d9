/*
 * The I2C driver against a slave with all kinds of faults. Prints a line for each situation; exits with 1 after the
 * first failure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bus.h"

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

static const uint8_t ADDRESS = 0x12;
static struct bus bus;
static struct i2c i2c;
static struct i2c_lines lines;

static void set_up(uint32_t hz) {
  bus_open(&bus, ADDRESS, &lines);
  CHECK(i2c_open(&i2c, &lines, hz) == 0);
}

static int idle(void) { return bus.master_scl && bus.master_sda && bus.slave_sda; }

/* Checks that the bus works normally again. */
static void check_sound(void) {
  uint8_t bytes[3];
  bus.hold_scl = bus.hold_sda = 0;
  bus.stretch_us = 0;
  bus.accepts = 255;
  bus.stop_answering_after = -1;
  CHECK(i2c_free(&i2c) == 0);
  bus_send(&bus, (const uint8_t *)"abc", 3);
  CHECK(i2c_receive(&i2c, ADDRESS, bytes, 3) == 3);
  CHECK(memcmp(bytes, "abc", 3) == 0 && bus.outcome == COMPLETE && idle());
  bus_receive(&bus, 3);
  CHECK(i2c_send(&i2c, ADDRESS, (const uint8_t *)"xyz", 3) == 3);
  CHECK(memcmp(bus.bytes, "xyz", 3) == 0 && bus.outcome == COMPLETE && idle());
}

static void all_sizes_and_bytes(void) {
  size_t length;
  for (length = 1; length <= 255; length++) {
    uint8_t out[255], in[255];
    size_t i;
    for (i = 0; i < length; i++) out[i] = (uint8_t)(i * 7 + length);
    bus_send(&bus, out, length);
    CHECK(i2c_receive(&i2c, ADDRESS, in, length) == (int)length);
    CHECK(memcmp(in, out, length) == 0 && bus.outcome == COMPLETE);
    bus_receive(&bus, length);
    CHECK(i2c_send(&i2c, ADDRESS, out, length) == (int)length);
    CHECK(memcmp(bus.bytes, out, length) == 0 && bus.outcome == COMPLETE && idle());
  }
}

static void speeds(void) {
  static const uint32_t hz[] = {1000, 100000, 400000};
  size_t i;
  for (i = 0; i < sizeof hz / sizeof *hz; i++) {
    uint64_t from;
    uint8_t bytes[10];
    set_up(hz[i]);
    bus_send(&bus, (const uint8_t *)"0123456789", 10);
    from = bus.now_us;
    CHECK(i2c_receive(&i2c, ADDRESS, bytes, 10) == 10);
    CHECK(bus.now_us - from >= 99 * (uint64_t)1000000 / hz[i]); /* never faster than asked */
  }
}

static void nobody(void) {
  uint8_t byte;
  CHECK(i2c_receive(&i2c, ADDRESS, &byte, 1) == I2C_NO_DEVICE && idle());
  CHECK(i2c_send(&i2c, ADDRESS, &byte, 1) == I2C_NO_DEVICE && idle());
  bus_receive(&bus, 1); /* the slave waits to be written to, not read */
  CHECK(i2c_receive(&i2c, ADDRESS, &byte, 1) == I2C_NO_DEVICE && idle());
  CHECK(i2c_send(&i2c, ADDRESS + 1, (const uint8_t *)"a", 1) == I2C_NO_DEVICE && idle());
  CHECK(bus.outcome == PENDING); /* it still waits */
  CHECK(i2c_send(&i2c, ADDRESS, (const uint8_t *)"a", 1) == 1 && bus.outcome == COMPLETE);
  check_sound();
}

static void not_all_acknowledged(void) {
  size_t accepts;
  for (accepts = 0; accepts < 5; accepts++) {
    bus.accepts = accepts;
    bus_receive(&bus, 5);
    CHECK(i2c_send(&i2c, ADDRESS, (const uint8_t *)"12345", 5) == (int)accepts && idle());
    CHECK(bus.outcome == CUT_OFF);
  }
  check_sound();
}

static void stretching(void) {
  uint8_t bytes[4];
  bus.stretch_us = 4000;
  bus_send(&bus, (const uint8_t *)"slow", 4);
  CHECK(i2c_receive(&i2c, ADDRESS, bytes, 4) == 4 && memcmp(bytes, "slow", 4) == 0);
  bus_receive(&bus, 4);
  CHECK(i2c_send(&i2c, ADDRESS, bytes, 4) == 4 && memcmp(bus.bytes, "slow", 4) == 0 && idle());
  check_sound();
}

/* However the stretches are spread, a transfer ends. */
static void too_much_stretching(void) {
  static const uint32_t us[] = {19000, 25000, 1000000, 4000000000u};
  size_t i;
  for (i = 0; i < sizeof us / sizeof *us; i++) {
    uint8_t bytes[200];
    uint64_t from = bus.now_us;
    bus.stretch_us = us[i];
    bus_send(&bus, bytes, 0);
    bus.length = 200;
    memset(bus.bytes, 'x', 200);
    CHECK(i2c_receive(&i2c, ADDRESS, bytes, 200) == I2C_STUCK);
    CHECK(bus.now_us - from < 150000 && bus.master_scl && bus.master_sda);
    bus.slave_scl_until = 0;
    check_sound();
  }
}

/* A line shorted to ground before the transfer, or at any clock of it; then repaired. */
static void stuck_lines(void) {
  int *line[2];
  int l, clocks;
  line[0] = &bus.hold_scl;
  line[1] = &bus.hold_sda;
  for (l = 0; l < 2; l++) {
    uint8_t bytes[2] = {0xff, 0xff};
    uint64_t from = bus.now_us;
    *line[l] = 1;
    bus_send(&bus, bytes, 2);
    CHECK(i2c_receive(&i2c, ADDRESS, bytes, 2) == I2C_STUCK);
    CHECK(i2c_send(&i2c, ADDRESS, bytes, 2) == I2C_STUCK);
    CHECK(i2c_free(&i2c) == I2C_STUCK);
    CHECK(bus.now_us - from < 450000 && bus.master_scl && bus.master_sda);
    check_sound();
  }
  for (clocks = 0; clocks < 40; clocks++) { /* the slave loses power at this clock */
    uint8_t bytes[4] = {0, 0, 0, 0};
    int result;
    bus.stop_answering_after = clocks;
    bus_send(&bus, bytes, 4);
    result = i2c_receive(&i2c, ADDRESS, bytes, 4);
    CHECK(result == 4 || result < 0);
    check_sound();
    bus.stop_answering_after = clocks;
    bus_receive(&bus, 4);
    result = i2c_send(&i2c, ADDRESS, bytes, 4);
    CHECK(result <= 4);
    check_sound();
  }
}

/* Random faults at random times: the result is an allowed one, in time, and the lines are released. */
static void noise(void) {
  uint32_t random = 1;
  int round;
  for (round = 0; round < 3000; round++) {
    uint8_t bytes[255] = {0};
    size_t length;
    int result;
    uint64_t from = bus.now_us;
    random = random * 1664525u + 1013904223u;
    length = 1 + (random >> 8) % 20;
    bus.hold_scl = (random >> 16) % 16 == 0;
    bus.hold_sda = (random >> 20) % 16 == 0;
    bus.stretch_us = (random >> 24) % 4 ? 0 : (random >> 12) % 30000;
    bus.stop_answering_after = (int)((random >> 5) % 400) - 200;
    if (bus.stop_answering_after < 0) bus.stop_answering_after = -1;
    if ((random >> 28) & 1) {
      bus_send(&bus, bytes, length + ((random >> 29) & 3));
      result = i2c_receive(&i2c, ADDRESS, bytes, length);
      CHECK(result == (int)length || result == I2C_NO_DEVICE || result == I2C_STUCK);
    } else {
      bus_receive(&bus, length);
      result = i2c_send(&i2c, ADDRESS, bytes, length);
      CHECK(result <= (int)length && result >= I2C_STUCK);
    }
    CHECK(bus.now_us - from < 300000 && bus.master_scl && bus.master_sda);
    bus.slave_scl_until = 0;
  }
  check_sound();
}

int main(void) {
  static const struct {
    const char *name;
    void (*run)(void);
  } situations[] = {
      {"bytes of all sizes go both ways", all_sizes_and_bytes},
      {"no faster than asked", speeds},
      {"nobody at the address", nobody},
      {"not all bytes are acknowledged", not_all_acknowledged},
      {"a slave that stretches the clock", stretching},
      {"a slave that stretches it for too long", too_much_stretching},
      {"a line that is stuck", stuck_lines},
      {"noise", noise},
  };
  size_t i;
  for (i = 0; i < sizeof situations / sizeof *situations; i++) {
    set_up(400000);
    situations[i].run();
    printf("%s\n", situations[i].name);
  }
  return 0;
}
