/**
 * Like `qos`, but in bursts: four messages at once, without waiting for each other, then a
 * pause. Sends [number, connects, free memory, duplicates, missing]; the server's side is `--app qos_fast`.
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
  open,
  pending,
  QOS,
  read,
  send,
  show,
} from "../assembly/app";
import { check, duplicates, missing } from "./shared/sequence";

let number = 0;

export function onStart(): void {
  every(5000);
}

export function onTick(): void {
  if (pending()) return; // an outage: the last burst has not arrived
  for (let i = 0; i < 4; i++) {
    begin(63);
    open();
    item(number);
    item(connects());
    item(free_memory());
    item(duplicates);
    item(missing);
    close();
    show();
    if (send(QOS)) number++;
  }
}

export function onMessage(ptr: usize, length: i32): void {
  read(ptr, length);
  if (element(0)) check(integer(-1));
}
