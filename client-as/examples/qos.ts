/**
 * Checks that every message arrives once and in order, both ways, for as long as it runs. Each end
 * numbers its messages and counts the faults in the other's numbers. This one sends
 *
 *     [number, connects, free memory, duplicates, missing, out of order, uptime in s]
 *
 * and the server, `--app qos`, reports the counts of both. All should stay 0, whatever the network does.
 */
export * from "../assembly/core";
import {
  begin,
  close,
  connects,
  element,
  every,
  free_memory,
  integer,
  item,
  millis,
  open,
  pending,
  QOS,
  random,
  read,
  send,
  show,
} from "../assembly/app";
import { check, duplicates, missing, outOfOrder } from "./shared/sequence";

let number = 0;
let started = 0;

/** Varies the interval, so that messages meet the server's at all possible moments. */
function next(): void {
  every(7000 + (random() & 1023));
}

export function onStart(): void {
  started = millis();
  next();
}

export function onTick(): void {
  next();
  if (pending()) return;
  begin(85);
  open();
  item(number);
  item(connects());
  item(free_memory());
  item(duplicates);
  item(missing);
  item(outOfOrder);
  item(<u32>(millis() - started) / 1000);
  close();
  show();
  if (send(QOS)) number++;
}

export function onMessage(ptr: usize, length: i32): void {
  read(ptr, length);
  if (element(0)) check(integer(-1));
}
