/*
 * Two wires with pull-ups and an I2C slave, simulated edge by edge for an I2C master in software, with all possible
 * faults. The master's delays are the clock.
 */
#ifndef BUS_H
#define BUS_H

#include <stddef.h>
#include <stdint.h>
#include "../../bridge/esp8266/firmware/i2c.h"

/* The direction that the slave is ready for. In any other it does not acknowledge its address. */
enum armed { UNARMED, ARMED_TO_SEND, ARMED_TO_RECEIVE };

/* How a transfer ended for the slave. */
enum outcome { PENDING, COMPLETE, CUT_OFF };

struct bus {
  uint8_t address;
  enum armed armed;
  enum outcome outcome;
  uint8_t bytes[256];
  size_t length; /* to be sent or received */
  size_t done;
  size_t accepts; /* bytes that it acknowledges, then no more */

  /* Faults. */
  int hold_scl, hold_sda;    /* a line is shorted to ground */
  uint32_t stretch_us;       /* before each byte, and each acknowledgement */
  int stop_answering_after;  /* clocks until the slave loses power; -1: never */

  /* The wires, and what the slave does to them. */
  int master_scl, master_sda;
  int slave_sda;
  uint64_t now_us, slave_scl_until;
  int was_scl, was_sda;
  uint64_t clocks;

  /* The slave's own state. */
  int listening, addressed, sending, bit;
  uint8_t shift;
};

void bus_open(struct bus *bus, uint8_t address, struct i2c_lines *lines);

/* The slave waits for the master; the outcome is PENDING then. */
void bus_send(struct bus *bus, const uint8_t *bytes, size_t length);
void bus_receive(struct bus *bus, size_t length);

/* The slave gives up waiting. */
void bus_disarm(struct bus *bus);

#endif
