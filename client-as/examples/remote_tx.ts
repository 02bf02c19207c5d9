/**
 * A switch that controls another board's LED: this is the switch, `remote_rx` the LED, and the server's
 * `--app remote` is between them. The ids are "tx" and "rx".
 *
 * It sends without qos, for speed: each level is sent once, and changes during an outage are not sent
 * afterwards. That is enough, as only the level at the outage's end counts.
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

/** A push button from this pin to ground: 0 is pressed. Most boards have one, called "flash". */
const BUTTON: i32 = 0;
const UNKNOWN: i32 = -1;

let button = 1;
/** The level that was sent last. */
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
  if (send(NO_QOS)) told = level; // otherwise tries again in 10 ms
}

/** A level sent before an outage may be lost: sends it again. */
export function onState(_up: bool): void {
  told = UNKNOWN;
}
