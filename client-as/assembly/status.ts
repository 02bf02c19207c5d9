/** The state of the link, as the core's registers show it. */
import { registers } from "./core";
import { CONNECTS, STATE, TX_FIRST, TX_NEXT, UP } from "./registers";

/** Whether the link is up. */
export function connected(): bool {
  return load<i32>(registers() + STATE) == UP;
}

/** How often it came up since the start. */
export function connects(): i32 {
  return load<i32>(registers() + CONNECTS);
}

/**
 * Messages sent but not yet acknowledged. An application that sends only when it is 0 waits for each message to
 * arrive before it sends the next, through outages too.
 */
export function pending(): i32 {
  return load<i32>(registers() + TX_NEXT) - load<i32>(registers() + TX_FIRST);
}
