/** Contacts bounce: for some ms after they close or open, the pin changes back and forth. */

/** A new level counts when it was seen this many times in a row. */
const TIMES: i32 = 4;

/**
 * Returns the state of a switch, which the caller keeps for the next call. Its lowest bit is the level of the switch.
 * If it is called every 10 ms, for example, it ignores changes shorter than 30 ms.
 *
 *     button = debounce(button, gpio_read(BUTTON));
 *     const level = button & 1;
 *
 * A state of 0 or 1 is a switch at rest.
 */
export function debounce(state: i32, level: i32): i32 {
  const old = state & 1;
  if (level == old) return old;
  state += 2; // the bits above count how many times in a row it differed
  return state >> 1 < TIMES ? state : level;
}
