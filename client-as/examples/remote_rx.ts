/**
 * The LED of `remote_tx`: the server forwards the level that the switch sends, [0] or [1]. It does so
 * without qos, so a level may be lost in an outage: afterwards this end asks for the latest.
 */
export * from "../assembly/core";
import {
  begin,
  bytes,
  element,
  gpio_write,
  integer,
  QOS,
  read,
  send,
  show,
  text,
} from "../assembly/app";

/** The LED of most boards. It is on while the pin is low, just as the switch is pressed while its pin is low. */
const LED: i32 = 2;

export function onStart(): void {
  gpio_write(LED, 1);
}

export function onMessage(ptr: usize, length: i32): void {
  read(ptr, length);
  if (element(0)) gpio_write(LED, integer(1));
  begin(length);
  bytes(ptr, length);
  show();
}

export function onState(up: bool): void {
  if (!up) return;
  begin(6);
  text("latest");
  send(QOS);
}
