/*
 * Pulse width modulation with the chip's timer 1. In each period all pins go high together, and each goes low at its
 * time; an interrupt does one step and sets the timer for the next.
 */
#include "sdk.h"

#include "osapi.h"

#include "gpio.h"

#include "pins.h"
#include "port.h"
#include "words.h"

/* GPIO16 is set through the RTC, too slowly for PWM: it is steadily high if the duty is above one half, else low. */
#define PINS 16
#define MOST_STEPS 10 /* six of the pins are the flash's */
#define FULL 1023
#define TICKS_PER_SECOND 5000000u
/* A little more than an interrupt takes: no step comes sooner after another. */
#define SHORTEST 50u

#define CONTROL_RUN (BIT(7) | 4) /* 80 MHz / 16, an edge, no reload */

struct plan {
  uint32_t high; /* these go high first */
  uint32_t steps; /* number of steps */
  struct {
    uint32_t after; /* ticks after the previous step */
    uint32_t low;   /* these go low */
  } step[MOST_STEPS];
  uint32_t rest; /* ticks from the last step to the end of the period */
};

static struct plan plans[2] IN_WORDS;
static volatile uint8_t running, wanted; /* indices of plans */
static volatile uint8_t at;
static volatile bool is_running;

static uint32_t duties[PINS] IN_WORDS;
static uint32_t period = TICKS_PER_SECOND / 1000;

static IN_IRAM void on_timer(void *unused) {
  (void)unused;
  uint32_t wait;
  if (at == 0) running = wanted;
  const struct plan *plan = &plans[running];
  if (at == 0) GPIO_REG_WRITE(GPIO_OUT_W1TS_ADDRESS, plan->high);
  else GPIO_REG_WRITE(GPIO_OUT_W1TC_ADDRESS, plan->step[at - 1].low);
  if (at < plan->steps) {
    wait = plan->step[at].after;
    at = at + 1;
  } else {
    wait = plan->rest;
    at = 0;
  }
  RTC_REG_WRITE(FRC1_LOAD_ADDRESS, wait < SHORTEST ? SHORTEST : wait);
}

/* Writes a plan, which must not be the running one. */
static void make_plan(struct plan *plan) {
  plan->high = 0;
  plan->steps = 0;
  uint32_t now = 0;
  for (unsigned last = 0;;) {
    /* The next duty above the last one, and the pins that have it. */
    unsigned next = FULL;
    uint32_t pins = 0;
    for (unsigned pin = 0; pin < PINS; pin++) {
      if (duties[pin] <= last || duties[pin] > next || duties[pin] == FULL) continue;
      if (duties[pin] < next) pins = 0;
      next = duties[pin];
      pins |= BIT(pin);
    }
    if (!pins) break;
    uint32_t when = (uint32_t)((uint64_t)period * next / FULL);
    plan->high |= pins;
    plan->step[plan->steps].after = when - now;
    plan->step[plan->steps].low = pins;
    plan->steps++;
    now = when;
    last = next;
  }
  plan->rest = period - now;
}

static void apply(void) {
  ETS_FRC1_INTR_DISABLE();
  uint8_t next = !running;
  make_plan(&plans[next]);
  wanted = next;
  if (plans[next].steps == 0) {
    if (is_running) RTC_REG_WRITE(FRC1_CTRL_ADDRESS, 0);
    is_running = false;
    return;
  }
  if (!is_running) {
    is_running = true;
    at = 0;
    ets_isr_attach(ETS_FRC_TIMER1_INUM, on_timer, 0);
    TM1_EDGE_INT_ENABLE();
    RTC_REG_WRITE(FRC1_CTRL_ADDRESS, CONTROL_RUN);
    RTC_REG_WRITE(FRC1_LOAD_ADDRESS, SHORTEST);
  }
  ETS_FRC1_INTR_ENABLE();
}

/* From now on nothing changes the pin, not even the rest of the current period. */
static void forget(unsigned pin) {
  ETS_FRC1_INTR_DISABLE();
  for (unsigned i = 0; i < 2; i++) {
    plans[i].high &= ~BIT(pin);
    for (unsigned step = 0; step < plans[i].steps; step++) plans[i].step[step].low &= ~BIT(pin);
  }
  duties[pin] = 0;
}

void pwm_release(unsigned pin) {
  if (pin >= PINS || duties[pin] == 0) return;
  forget(pin);
  apply();
}

void port_pwm(unsigned pin, unsigned duty, unsigned hz) {
  if (!pins_usable(pin) || hz < 1 || hz > 1000) return;
  if (duty > FULL) duty = FULL;
  period = TICKS_PER_SECOND / hz; /* for all pins */
  bool steady = pin >= PINS || duty == 0 || duty == FULL;
  if (pin < PINS) {
    if (!steady && duties[pin] == 0) pins_output(pin, false);
    if (steady && duties[pin]) forget(pin);
    if (!steady) duties[pin] = duty;
  }
  apply();
  if (steady) pins_output(pin, duty > FULL / 2);
}
