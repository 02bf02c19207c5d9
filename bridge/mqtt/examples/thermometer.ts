/** A thermometer: an LM35 at the analogue input, 10 mV for each °C. README.md tells how to run it. */
export * from "../../../client-as/assembly/core";
import { adc_read, done, every, hear, hello, number, pending, QOS, send, tell } from "../../../client-as/assembly/app";

export function onStart(): void {
  hello("@thermometer 1");
  every(10000);
}
export function onTick(): void {
  if (pending() > 3) return; // an outage: no more readings until the link is back
  tell("=temp");
  number(adc_read() * 100 >> 10);
  send(QOS);
}
export function onMessage(ptr: usize, length: i32): bool { return !hear(ptr, length) || done(); }
