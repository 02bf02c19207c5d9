/* Measures the use of the C stack, in a build with MEASURE: paints it, and sees how much paint was overwritten. */
#ifdef MEASURE
#include "stack.h"

#include "console.h"

#define STACK_PAINT 0xA5A5A5A5u
extern uint8_t stack_end[];
extern uint32_t stack_painted[]; /* start of the paint, 8 KB below the end */
static uint32_t starting_stack;

static uint32_t stack_used(void) {
  const uint32_t *at = stack_painted;
  while (*at == STACK_PAINT) at++;
  return stack_end - (const uint8_t *)at;
}

void stack_paint(void) {
  volatile uint32_t *end = __builtin_frame_address(0), *at = stack_painted;
  while (at < end - 16) *at++ = STACK_PAINT;
}

void stack_started(void) {
  starting_stack = stack_used();
  stack_paint();
}

void stack_measure(void) {
  console_memory("c-stack-start", starting_stack);
  console_memory("c-stack", stack_used());
}
#endif
