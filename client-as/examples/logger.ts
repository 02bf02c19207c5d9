/**
 * A logger: reads the analogue input each second, and reports `=adc@123456 512`, with the time of the reading. During
 * an outage, a minute of readings waits here until the link is back; the server still learns when each was taken.
 */
export * from "../assembly/core";
export { canReceive } from "../assembly/app";
import { adc_read, done, every, hear, hello, millis, number, pending, QOS, send, tellAt } from "../assembly/app";

const MOST = 60;
const READINGS: usize = memory.data(MOST << 3, 4); // ms and value of each

let read = 0;
let told = 0;

export function onStart(): void {
  hello("@logger 1");
  every(1000);
}

export function onTick(): void {
  if (read - told == MOST) told++; // drops the oldest
  store<i32>(place(read), millis());
  store<i32>(place(read++), adc_read(), 4);
  for (; told < read && pending() < 6; told++) { // leaves some room for answers
    tellAt("=adc", load<i32>(place(told)));
    number(load<i32>(place(told), 4));
    if (!send(QOS)) return;
  }
}

function place(n: i32): usize {
  return READINGS + (n % MOST << 3);
}

export function onMessage(ptr: usize, length: i32): bool {
  return !hear(ptr, length) || done(); // no channel can be set
}
