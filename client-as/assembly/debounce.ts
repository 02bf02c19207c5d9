/** Contacts bounce: for some ms after they close or open, a pin shows both. */

/** A new level counts once it was seen so many times in a row. */
const TIMES: i32 = 4;

/**
 * The state of a switch, to be kept by the caller for the next call; its lowest bit is the switch's
 * level. Called every 10 ms, say, it ignores what lasts less than 30 ms.
 *
 *     button = debounce(button, gpio_read(BUTTON));
 *     const level = button & 1;
 *
 * A state of 0 or 1 is a switch at rest.
 */
export function debounce(state: i32, level: i32): i32 {
  const old = state & 1;
  if (level == old) return old;
  state += 2; // the bits above count how often in a row it differed
  return state >> 1 < TIMES ? state : level;
}
