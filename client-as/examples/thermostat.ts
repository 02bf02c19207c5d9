/**
 * A thermostat: the analogue input is the room's `temp`, 0 to 1023, pin 5 the `heater`, and the server sets `target`.
 * It works on through outages, keeps its target through resets, and reports to the server.
 */
export * from "../assembly/core";
export { canReceive } from "../assembly/app";
import {
  adc_read, answer, done, every, gpio_write, hear, hello, integer, keep, kept, number, on, pending, QOS, send, tell,
} from "../assembly/app";

const HEATER = 5;
const KEPT: usize = memory.data(8, 4); // the target, and its bits inverted

let target = 500;
let told = -1; // the heater's state as last reported

export function onStart(): void {
  hello("@thermostat 1");
  if (kept(0, KEPT, 8) && load<i32>(KEPT) == ~load<i32>(KEPT, 4)) target = load<i32>(KEPT);
  every(10000);
}

export function onTick(): void {
  const temp = adc_read();
  const heats = i32(temp < target);
  gpio_write(HEATER, heats);
  if (pending() > 3) return; // an outage: reports again when the link is back
  if (told != heats) {
    tell("=heater");
    number(heats);
    if (send(QOS)) told = heats;
  }
  tell("=temp");
  number(temp);
  send(QOS);
}

export function onMessage(ptr: usize, length: i32): bool {
  if (!hear(ptr, length)) return true; // a plain line: not used
  if (on("=target")) {
    const wanted = integer(-1);
    if (wanted >= 0) {
      target = wanted;
      store<i32>(KEPT, target);
      store<i32>(KEPT, ~target, 4);
      keep(0, KEPT, 8);
      answer();
      number(target);
    }
  }
  return done();
}
