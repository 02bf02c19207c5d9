/* The emulated chip's main program: wakes, starts the firmware, and runs it until the host ends it. */
#include "bytes.h"
#include "events.h"
#include "frames.h"
#include "port.h"
#include "slots.h"
#include "stack.h"

/* Instead of the firmware: runner.c, or another program that is compiled in. */
void run_calls(void);
void program(const uint8_t *wasm, size_t length);

static __attribute__((noinline)) void live(void) {
  uint32_t wait = firmware_run();
  for (;;) {
    events_wait(wait);
    wait = firmware_run();
    if (!events_offer()) continue;
    events_take();
    wait = firmware_run();
  }
}

int main(void) {
  extern uint8_t bss_start[], bss_end[];
  bytes_fill(bss_start, 0, bss_end - bss_start);
  extern uint8_t words_start[], words_end[];
  bytes_fill(words_start, 0, words_end - words_start);
  events_wake();
#ifdef EMULATOR_RUNNER
  run_calls();
#endif
#ifdef EMULATOR_PROGRAM
  slots_choose(RESET_POWER_ON);
  program(slots_running().wasm, slots_running().length);
  flush();
  leave(0);
#endif
#ifdef MEASURE
  stack_paint();
#endif
  firmware_start();
#ifdef MEASURE
  stack_started();
#endif
  live();
}
