/*
 * libFuzzer: the chip's pins (targets/nonos/gpio.c, pwm.c and pins.c) in front of its registers. After any calls a pin
 * must be in the state of the last call, a PWM output high for its share of the time, and no pin of the flash touched.
 */
#include <stdbool.h>
#include <stdint.h>

#include "input.h"
#include "sdk.h"

#include "osapi.h"
#include "port.h"

/* ---- Registers ---- */

#define PINS 17
#define GPIO(offset) (0x60000300 + (offset))
#define TIMER(offset) (0x60000600 + (offset))
#define EDGE_INTERRUPTS 0x3ff00004
static uint32_t out, enabled, open_drain, outside;
static uint32_t rtc_out, rtc_enabled;
static uint32_t timer_load, edges;
static bool timer_runs;
static void (*timer_function)(void *);

/* The pin of each multiplexer, from 0x60000804 on. They start with a useless function. */
static const uint8_t mux_pins[16] = {12, 13, 14, 15, 3, 1, 6, 7, 8, 9, 10, 11, 0, 2, 4, 5};
#define FIRST_MUX 0x60000804
static uint32_t mux[PINS];

static bool is_flash(unsigned pin) { return pin >= 6 && pin <= 11; }

static void check_mask(uint32_t mask) { require((mask & ~0xf03fu) == 0); }

static bool is_mux(uint32_t address) { return address >= FIRST_MUX && address < FIRST_MUX + 16 * 4 && address % 4 == 0; }

static uint32_t *mux_at(uint32_t address) {
  unsigned pin = mux_pins[(address - FIRST_MUX) / 4];
  require(!is_flash(pin));
  return &mux[pin];
}

static bool gpio_selected(unsigned pin) {
  unsigned function = (mux[pin] >> 4 & 3) | (mux[pin] >> 6 & 4);
  return function == (pin == 0 || pin == 2 || pin == 4 || pin == 5 ? 0 : 3);
}

static bool pull_up(unsigned pin) { return mux[pin] >> 7 & 1; }

/* The level of a pin: whatever pulls it low wins. */
static bool level(unsigned pin) {
  bool drives = (enabled >> pin & 1) && !((open_drain >> pin & 1) && (out >> pin & 1));
  return drives ? out >> pin & 1 : outside >> pin & 1;
}

/* At an unused address a real chip stops. */
uint32_t fuzz_read(uint32_t address) {
  if (is_mux(address)) return *mux_at(address);
  if (address == GPIO(0x18)) {
    uint32_t in = 0;
    for (unsigned pin = 0; pin < 16; pin++) in |= (uint32_t)level(pin) << pin;
    return in;
  }
  if (address >= GPIO(0x28) && address < GPIO(0x28 + 16 * 4)) {
    return (open_drain >> (address - GPIO(0x28)) / 4 & 1) << 2 | 0x80; /* and another bit */
  }
  switch (address) {
    case 0x60000768: return rtc_out | 0x100;
    case 0x60000774: return rtc_enabled | 0x100;
    case 0x6000078c: return rtc_enabled ? rtc_out : outside >> 16 & 1;
    case 0x60000790: /* RTC_GPIO_CONF */
    case 0x600007a0: return 0xff; /* PAD_XPD_DCDC_CONF */
    case EDGE_INTERRUPTS: return edges;
  }
  abort();
}

void fuzz_write(uint32_t address, uint32_t value) {
  if (is_mux(address)) {
    uint32_t *register_of_pin = mux_at(address);
    require(((*register_of_pin ^ value) & ~0x1b0u) == 0); /* only its function and its pull-up may change */
    *register_of_pin = value;
    return;
  }
  switch (address) {
    case GPIO(0x04): check_mask(value), out |= value; return;
    case GPIO(0x08): check_mask(value), out &= ~value; return;
    case GPIO(0x10): check_mask(value), enabled |= value; return;
    case GPIO(0x14): check_mask(value), enabled &= ~value; return;
    case 0x60000768: require(value >> 1 == 0x80), rtc_out = value & 1; return;
    case 0x60000774: require(value >> 1 == 0x80), rtc_enabled = value & 1; return;
    case 0x60000790: require(value == 0xfe); return;
    case 0x600007a0: require(value == 0xbd); return;
    case EDGE_INTERRUPTS: require((value & ~2u) == (edges & ~2u)), edges = value; return;
    case TIMER(0x00): require(value >= 50 && value <= 5000000), timer_load = value; return;
    case TIMER(0x08): timer_runs = value != 0; return;
  }
  require(address >= GPIO(0x28) && address < GPIO(0x28 + 16 * 4) && address % 4 == 0);
  unsigned pin = (address - GPIO(0x28)) / 4;
  require(!is_flash(pin) && (value & ~4u) == 0x80);
  open_drain = (open_drain & ~(1u << pin)) | (value >> 2 & 1) << pin;
}

void ets_isr_attach(int number, void (*function)(void *), void *argument) {
  require(number == ETS_FRC_TIMER1_INUM && !argument);
  timer_function = function;
}

uint16_t system_adc_read(void) { return (uint16_t)(next() * 5); }

/* ---- What each pin should be ---- */

enum kind { ANYTHING, WRITTEN, READ, LINE_, PWM };
static struct {
  enum kind kind;
  bool high;
  unsigned duty;
} pins[PINS];
static unsigned hz = 1000;

static void check_pin(unsigned pin) {
  if (pins[pin].kind == ANYTHING || pins[pin].kind == PWM) return;
  bool drives = pins[pin].kind != READ;
  if (pin == 16) {
    if (pins[pin].kind == LINE_) require(rtc_enabled == !pins[pin].high && (pins[pin].high || !rtc_out));
    else require(rtc_enabled == drives && (!drives || rtc_out == pins[pin].high));
    return;
  }
  require(gpio_selected(pin) && (enabled >> pin & 1) == drives);
  require((open_drain >> pin & 1) == (pins[pin].kind == LINE_));
  require(pull_up(pin) == (pins[pin].kind != WRITTEN));
  if (drives) require((out >> pin & 1) == pins[pin].high);
}

/* Runs the timer for some periods, and measures the last one. */
static void check_pwm(void) {
  unsigned active = 0;
  for (unsigned pin = 0; pin < 16; pin++) active += pins[pin].kind == PWM;
  require(timer_runs == (active > 0));
  require(!timer_runs || (edges & 2));
  if (!active) return;
  uint64_t period = 5000000 / hz, high[16] = {0}, total = 0;
  unsigned periods = 0, steps = 0;
  uint32_t before = out;
  for (; periods < 4; steps++) {
    require(steps < 100);
    before = out;
    timer_function(0);
    bool starts = (out & ~before) != 0; /* all must go high together */
    if (starts && ++periods == 4) break;
    if (periods == 3) {
      total += timer_load;
      for (unsigned pin = 0; pin < 16; pin++) high[pin] += (out >> pin & 1) * (uint64_t)timer_load;
    }
  }
  /* Each step can be late by the minimum time of an interrupt. */
  uint64_t late = 50 * (active + 1);
  require(total >= period && total <= period + late);
  for (unsigned pin = 0; pin < 16; pin++) {
    if (pins[pin].kind != PWM) continue;
    uint64_t wanted = period * pins[pin].duty / 1023;
    require(high[pin] >= wanted && high[pin] <= wanted + late);
    require(gpio_selected(pin) && (enabled >> pin & 1) && !(open_drain >> pin & 1));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input = data;
  left = size;
  for (unsigned pin = 0; pin < PINS; pin++) mux[pin] |= 0x4a; /* others of its bits */
  /* Each input starts with low outputs: the chip is not reset in between. */
  for (unsigned pin = 0; pin < PINS; pin++) {
    port_gpio_write(pin, false);
    pins[pin].kind = is_flash(pin) ? ANYTHING : WRITTEN;
    pins[pin].high = false;
  }
  while (left) {
    unsigned pin = next() % 20;
    bool good = pin < PINS && !is_flash(pin);
    unsigned what = next() % 6, value = next();
    switch (what) {
      case 0:
        port_gpio_write(pin, value & 1);
        if (good) pins[pin].kind = WRITTEN, pins[pin].high = value & 1;
        break;
      case 1:
        outside = value * 0x01010101u;
        bool read = port_gpio_read(pin);
        if (!good) {
          require(!read);
          break;
        }
        if (pins[pin].kind == PWM) break; /* it reads its own output */
        if (pins[pin].kind != WRITTEN) pins[pin].kind = READ;
        require(read == (pin == 16 ? (rtc_enabled ? rtc_out : outside >> 16 & 1) : level(pin)));
        break;
      case 2:
        port_line(pin, value & 1);
        if (good) pins[pin].kind = LINE_, pins[pin].high = value & 1;
        break;
      case 3: port_line_read(pin); break;
      case 4: {
        unsigned duty = value << 2 | (next() & 3), frequency = 1 + next() * 4 % 1000;
        port_pwm(pin, duty, frequency);
        if (!good) break;
        hz = frequency;
        if (pin == 16 || duty == 0 || duty == 1023) {
          pins[pin].kind = WRITTEN;
          pins[pin].high = duty > 511;
        } else {
          pins[pin].kind = PWM;
          pins[pin].duty = duty;
        }
        break;
      }
      case 5: require(port_adc_read() <= 1023); break;
    }
    if (what == 4) check_pwm();
    for (unsigned i = 0; i < PINS; i++) {
      if (!is_flash(i)) check_pin(i);
    }
  }
  return 0;
}
