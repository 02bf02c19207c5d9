/**
 * A switch that works another board's LED: this is the switch, `remote_rx` the LED, and the server's
 * `--app remote` between them. The ids are "tx" and "rx".
 *
 * Qos is off, for speed: a level is sent once, and what the switch does during an outage is not told
 * afterwards. It need not be, as the level at the outage's end is all that counts.
 */
export * from "../assembly/core";
import {
  begin,
  close,
  connected,
  debounce,
  every,
  gpio_read,
  item,
  NO_QOS,
  open,
  send,
  show,
} from "../assembly/app";

/** A push button from this pin to ground: 0 is pressed. On most boards it is there already, as "flash". */
const BUTTON: i32 = 0;
const UNKNOWN: i32 = -1;

let button = 1;
/** The level that the server knows. */
let told = UNKNOWN;

export function onStart(): void {
  every(10);
}

export function onTick(): void {
  button = debounce(button, gpio_read(BUTTON));
  const level = button & 1;
  if (level == told || !connected()) return;
  begin(3);
  open();
  item(level);
  close();
  show();
  if (send(NO_QOS)) told = level; // else another try in 10 ms
}

/** What was sent before an outage may be lost. */
export function onState(_up: bool): void {
  told = UNKNOWN;
}
