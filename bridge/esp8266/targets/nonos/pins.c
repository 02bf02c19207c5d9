/* Pins as inputs, outputs and open-drain lines, and the analogue input. For PWM see gpio.c. */
#include "sdk.h"

#include "osapi.h"

#include "gpio.h"
#include "user_interface.h"

#include "pins.h"
#include "port.h"
#include "words.h"

#define PINS 17

enum mode { UNUSED, INPUT, OUTPUT, LINE };
static uint32_t modes[PINS] IN_WORDS; /* enum mode */

/* GPIO16 belongs to the RTC: it has its own registers, a pull-down instead of a pull-up, and no open drain. */
static void pin16_enable(bool output) {
  WRITE_PERI_REG(PAD_XPD_DCDC_CONF, (READ_PERI_REG(PAD_XPD_DCDC_CONF) & 0xFFFFFFBC) | 1);
  WRITE_PERI_REG(RTC_GPIO_CONF, READ_PERI_REG(RTC_GPIO_CONF) & 0xFFFFFFFE);
  WRITE_PERI_REG(RTC_GPIO_ENABLE, (READ_PERI_REG(RTC_GPIO_ENABLE) & 0xFFFFFFFE) | output);
}

static void pin16_write(bool high) {
  WRITE_PERI_REG(RTC_GPIO_OUT, (READ_PERI_REG(RTC_GPIO_OUT) & 0xFFFFFFFE) | high);
}

/* The register of a pin's multiplexer. */
static uint32_t mux(unsigned pin) {
  static const uint32_t registers[16] = {
    PERIPHS_IO_MUX_GPIO0_U,    PERIPHS_IO_MUX_U0TXD_U,    PERIPHS_IO_MUX_GPIO2_U,    PERIPHS_IO_MUX_U0RXD_U,
    PERIPHS_IO_MUX_GPIO4_U,    PERIPHS_IO_MUX_GPIO5_U,    PERIPHS_IO_MUX_SD_CLK_U,   PERIPHS_IO_MUX_SD_DATA0_U,
    PERIPHS_IO_MUX_SD_DATA1_U, PERIPHS_IO_MUX_SD_DATA2_U, PERIPHS_IO_MUX_SD_DATA3_U, PERIPHS_IO_MUX_SD_CMD_U,
    PERIPHS_IO_MUX_MTDI_U,     PERIPHS_IO_MUX_MTCK_U,     PERIPHS_IO_MUX_MTMS_U,     PERIPHS_IO_MUX_MTDO_U,
  };
  return registers[pin];
}

static void select_gpio(unsigned pin, bool pull_up) {
  bool is_first = pin == 0 || pin == 2 || pin == 4 || pin == 5;
  if (is_first) PIN_FUNC_SELECT(mux(pin), 0);
  else PIN_FUNC_SELECT(mux(pin), 3);
  if (pull_up) PIN_PULLUP_EN(mux(pin));
  else PIN_PULLUP_DIS(mux(pin));
}

static void set_open_drain(unsigned pin, bool open_drain) {
  uint32_t value = GPIO_REG_READ(GPIO_PIN_ADDR(pin)) & ~GPIO_PIN_PAD_DRIVER_MASK;
  GPIO_REG_WRITE(GPIO_PIN_ADDR(pin), value | GPIO_PIN_PAD_DRIVER_SET(open_drain ? 1 : 0));
}

static void set_level(unsigned pin, bool high) {
  /* Not in one expression: the SDK's macro has no parentheses around its argument. */
  if (high) GPIO_REG_WRITE(GPIO_OUT_W1TS_ADDRESS, BIT(pin));
  else GPIO_REG_WRITE(GPIO_OUT_W1TC_ADDRESS, BIT(pin));
}

static bool level(unsigned pin) {
  return GPIO_REG_READ(GPIO_IN_ADDRESS) >> pin & 1;
}

/* The firmware already refuses the flash's pins. Checked here, too, as writing one stops the chip. */
bool pins_usable(unsigned pin) {
  return pin < PINS && (pin < 6 || pin > 11);
}

void pins_output(unsigned pin, bool high) {
  if (!pins_usable(pin)) return;
  if (pin == 16) {
    pin16_write(high);
    if (modes[pin] != OUTPUT) pin16_enable(true);
  } else {
    set_level(pin, high); /* first, so that the pin never has another level */
    if (modes[pin] != OUTPUT) {
      select_gpio(pin, false);
      set_open_drain(pin, false);
      GPIO_REG_WRITE(GPIO_ENABLE_W1TS_ADDRESS, BIT(pin));
    }
  }
  modes[pin] = OUTPUT;
}

bool port_gpio_read(unsigned pin) {
  if (!pins_usable(pin)) return false;
  if (pin == 16) {
    if (modes[pin] == OUTPUT) return READ_PERI_REG(RTC_GPIO_OUT) & 1;
    if (modes[pin] != INPUT) pin16_enable(false);
    modes[pin] = INPUT;
    return READ_PERI_REG(RTC_GPIO_IN_DATA) & 1;
  }
  if (modes[pin] != OUTPUT && modes[pin] != INPUT) {
    GPIO_REG_WRITE(GPIO_ENABLE_W1TC_ADDRESS, BIT(pin));
    set_open_drain(pin, false);
    select_gpio(pin, true);
    modes[pin] = INPUT;
  }
  return level(pin);
}

void pins_line(unsigned pin, bool released) {
  if (!pins_usable(pin)) return;
  if (pin == 16) {
    pin16_write(false);
    pin16_enable(!released);
  } else {
    set_level(pin, released);
    if (modes[pin] == LINE) return;
    set_open_drain(pin, true);
    select_gpio(pin, true);
    GPIO_REG_WRITE(GPIO_ENABLE_W1TS_ADDRESS, BIT(pin));
  }
  modes[pin] = LINE;
}

bool port_line_read(unsigned pin) {
  if (!pins_usable(pin)) return false;
  return pin == 16 ? READ_PERI_REG(RTC_GPIO_IN_DATA) & 1 : level(pin);
}

unsigned port_adc_read(void) {
  unsigned value = system_adc_read(); /* 1024 is full scale */
  return value > 1023 ? 1023 : value;
}
