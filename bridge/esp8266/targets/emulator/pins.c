/*
 * The chip's pins. Their changes go to the host in frames; or, if the host names two FIFOs, to a program that answers
 * at once, a byte each way. That is for buses, which read several levels for each bit.
 */
#include "pins.h"

#include "bytes.h"
#include "frames.h"
#include "port.h"

enum mode { INPUT, OUTPUT, LINE, PWM };
static struct {
  uint8_t mode, level, outside; /* `outside`: the level from outside, 1 by default */
} pins[17];
static unsigned analogue;

/* File descriptors, if another program has the pins; or 0. */
static int elsewhere_to, elsewhere_from;

void pins_begin(void) {
  for (unsigned i = 0; i < sizeof pins / sizeof *pins; i++) pins[i].outside = 1;
}

void pins_pulled(unsigned pin, bool high) {
  pins[pin].outside = high;
}

void pins_analogue(unsigned value) {
  analogue = value;
}

void pins_elsewhere(const char *path) {
  char name[128];
  size_t length = text_length(path);
  enum { READ_ONLY, WRITE_ONLY };
  if (length > sizeof name - 6) leave(5);
  bytes_copy(name, path, length);
  bytes_copy(name + length, ".from", 6);
  elsewhere_to = simcall(CALL_OPEN, (int)name, WRITE_ONLY, 0);
  bytes_copy(name + length, ".to", 4);
  elsewhere_from = simcall(CALL_OPEN, (int)name, READ_ONLY, 0);
  if (elsewhere_to <= 0 || elsewhere_from <= 0) leave(5);
}

static void tell(unsigned what, unsigned pin) {
  uint8_t byte = what << 5 | pin;
  flush(); /* in the order in which it happened */
  if (simcall(CALL_WRITE, elsewhere_to, (int)&byte, 1) != 1) leave(3);
}

static bool ask(unsigned pin) {
  uint8_t level;
  tell(PIN_READ, pin);
  if (simcall(CALL_READ, elsewhere_from, (int)&level, 1) != 1) leave(3);
  return level;
}

static void show_pin(unsigned pin) {
  if (elsewhere_to) {
    tell((pins[pin].mode == LINE ? PIN_LINE_LOW : PIN_LOW) + pins[pin].level, pin);
    return;
  }
  uint8_t payload[3] = { pin, pins[pin].mode, pins[pin].level };
  frame('g', payload, 3);
}

static void set_pin(unsigned pin, enum mode mode, bool high) {
  if (pins[pin].mode == mode && pins[pin].level == high) return;
  pins[pin].mode = mode;
  pins[pin].level = high;
  show_pin(pin);
}

void port_gpio_write(unsigned pin, bool high) {
  set_pin(pin, OUTPUT, high);
}

bool port_gpio_read(unsigned pin) {
  if (pins[pin].mode == OUTPUT || pins[pin].mode == PWM) return pins[pin].level;
  return elsewhere_to ? ask(pin) : pins[pin].outside;
}

unsigned port_adc_read(void) {
  return analogue;
}

void port_pwm(unsigned pin, unsigned duty, unsigned hz) {
  uint8_t payload[5] = { pin, duty, duty >> 8, hz, hz >> 8 };
  frame('p', payload, 5);
  pins[pin].mode = PWM;
  pins[pin].level = duty > 511; /* the more frequent level */
}

void port_line(unsigned pin, bool released) {
  set_pin(pin, LINE, released);
}

/* The level of an open line depends on everybody who pulls it: the host knows it, as it got all earlier frames. */
bool port_line_read(unsigned pin) {
  if (elsewhere_to) return ask(pin);
  uint8_t payload = pin;
  frame('R', &payload, 1);
  for (unsigned at = 0;;) {
    while (frame_at(at)) {
      if (input[at] == 'Q') { /* takes only the answer out of turn */
        bool level = input[at + 3];
        drop_frame(at);
        return level;
      }
      at += length_at(at);
    }
    read_input(20000);
  }
}

