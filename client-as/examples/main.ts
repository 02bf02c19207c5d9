/**
 * Counters in both directions: the first thing to try on a new board. Every five seconds the device
 * sends [connects, count, free memory] and the server, `--app main`, sends a line of its own; both
 * show what they get. Unplug the access point for a while: no count is missing afterwards.
 *
 * The idea of this and the other demonstrations is micropython-iot's.
 */
export * from "../assembly/core";
import {
  begin,
  bytes,
  close,
  connects,
  every,
  free_memory,
  item,
  open,
  pending,
  QOS,
  send,
  show,
  text,
} from "../assembly/app";

let count = 0;

export function onStart(): void {
  every(5000);
}

export function onTick(): void {
  // The last message has not arrived yet, so there is an outage. Waits, too.
  if (pending()) return;
  begin(40);
  open();
  item(connects());
  item(count);
  item(free_memory());
  close();
  show();
  if (send(QOS)) count++;
}

export function onMessage(ptr: usize, length: i32): void {
  begin(length + 4); // composed only to show it: it is not sent
  text("Got ");
  bytes(ptr, length);
  show();
}

export function onState(up: bool): void {
  begin(16);
  text(up ? "Link up" : "Link down");
  show();
}
