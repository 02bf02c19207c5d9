#include "bus.h"
#include <string.h>

static int scl(struct bus *bus) {
  return bus->master_scl && bus->now_us >= bus->slave_scl_until && !bus->hold_scl;
}

static int sda(struct bus *bus) { return bus->master_sda && bus->slave_sda && !bus->hold_sda; }

static void forget(struct bus *bus) {
  bus->listening = bus->addressed = 0;
  bus->slave_sda = 1;
}

static void end(struct bus *bus) {
  if (bus->addressed && bus->armed != UNARMED) {
    bus->outcome = bus->done == bus->length ? COMPLETE : CUT_OFF;
    bus->armed = UNARMED;
  }
  forget(bus);
}

static void start(struct bus *bus) {
  end(bus);
  bus->listening = 1;
  bus->sending = 0;
  bus->bit = 0;
  bus->shift = 0;
}

static int next_byte(struct bus *bus) {
  return bus->done < bus->length ? bus->bytes[bus->done] : 0xff;
}

/* SCL has risen: the slave reads what is on SDA. */
static void rise(struct bus *bus) {
  if (bus->bit < 8) {
    bus->shift = (uint8_t)(bus->shift << 1 | sda(bus));
  } else if (bus->sending && sda(bus)) {
    bus->done++; /* the master wants no more bytes */
    bus->sending = 0;
    bus->listening = bus->addressed ? 1 : 0;
    bus->bit = 100; /* ignores all until stop */
    return;
  } else if (bus->sending) {
    bus->done++;
  }
}

/* Whether the slave acknowledges the byte that it received. */
static int judge(struct bus *bus) {
  if (!bus->addressed) {
    int wants_to_read = bus->shift & 1;
    enum armed needed = wants_to_read ? ARMED_TO_SEND : ARMED_TO_RECEIVE;
    if (bus->shift >> 1 != bus->address || bus->armed != needed) return 0;
    bus->addressed = 1;
    bus->done = 0;
    return 1;
  }
  if (bus->done >= bus->accepts || bus->done >= bus->length) return 0;
  bus->bytes[bus->done++] = bus->shift;
  return 1;
}

/* SCL has fallen: the slave changes SDA. */
static void fall(struct bus *bus) {
  if (bus->bit == 8 && !bus->sending) {
    int address = !bus->addressed;
    if (!judge(bus)) {
      forget(bus);
      if (!address) bus->addressed = bus->listening = 1, bus->bit = 100;
      return;
    }
    bus->slave_sda = 0;
    if (bus->stretch_us) bus->slave_scl_until = bus->now_us + bus->stretch_us;
    return;
  }
  if (bus->bit == 9) {
    bus->slave_sda = 1;
    bus->bit = 0;
    if (bus->addressed && bus->armed == ARMED_TO_SEND) bus->sending = 1;
    bus->shift = 0;
    if (bus->stretch_us) bus->slave_scl_until = bus->now_us + bus->stretch_us;
  }
  if (bus->sending) bus->slave_sda = bus->bit < 8 ? next_byte(bus) >> (7 - bus->bit) & 1 : 1;
}

/* Evaluates the wires after a change. */
static void look(struct bus *bus) {
  int now_scl = scl(bus), now_sda = sda(bus);
  if (bus->was_scl && now_scl && bus->was_sda != now_sda) {
    bus->was_sda = now_sda;
    if (now_sda) end(bus);
    else start(bus);
    return;
  }
  bus->was_sda = now_sda;
  if (bus->was_scl == now_scl) return;
  bus->was_scl = now_scl;
  if (now_scl) bus->clocks++;
  if (bus->stop_answering_after >= 0 && now_scl && bus->stop_answering_after-- == 0) {
    bus->listening = 0; /* it keeps driving SDA as before, until clocked out */
    bus->armed = UNARMED;
    bus->outcome = CUT_OFF;
  }
  if (!bus->listening) {
    if (!now_scl && bus->slave_sda == 0) bus->slave_sda = 1;
    return;
  }
  if (now_scl) {
    rise(bus);
    if (bus->bit < 9) bus->bit++;
  } else if (bus->bit <= 9) fall(bus);
  bus->was_sda = sda(bus);
}

static void set_scl(void *board, int level) {
  struct bus *bus = board;
  bus->master_scl = level;
  look(bus);
}

static void set_sda(void *board, int level) {
  struct bus *bus = board;
  bus->master_sda = level;
  look(bus);
}

static int scl_level(void *board) {
  struct bus *bus = board;
  look(bus);
  return scl(bus);
}

static int sda_level(void *board) { return sda(board); }

static void delay_us(void *board, uint32_t us) {
  struct bus *bus = board;
  bus->now_us += us;
  look(bus);
}

void bus_open(struct bus *bus, uint8_t address, struct i2c_lines *lines) {
  memset(bus, 0, sizeof *bus);
  bus->address = address;
  bus->master_scl = bus->master_sda = bus->slave_sda = bus->was_scl = bus->was_sda = 1;
  bus->stop_answering_after = -1;
  bus->accepts = sizeof bus->bytes;
  *lines = (struct i2c_lines){set_scl, set_sda, scl_level, sda_level, delay_us, bus};
}

void bus_send(struct bus *bus, const uint8_t *bytes, size_t length) {
  memcpy(bus->bytes, bytes, length);
  bus->length = length;
  bus->done = 0;
  bus->outcome = PENDING;
  bus->armed = ARMED_TO_SEND;
}

void bus_receive(struct bus *bus, size_t length) {
  bus->length = length;
  bus->done = 0;
  bus->outcome = PENDING;
  bus->armed = ARMED_TO_RECEIVE;
}

void bus_disarm(struct bus *bus) { bus->armed = UNARMED; }
