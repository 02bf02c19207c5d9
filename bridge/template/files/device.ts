/**
 * The device: reports the analogue input (0 to 1023) to the server, and switches the heater on pin 5 as the server
 * wants. `deno task build` compiles it to device.wasm, for a board or for the tests.
 */
export * from "CLONE/client-as/assembly/core";
export { canReceive } from "CLONE/client-as/assembly/app";
import {
  adc_read, answer, every, gpio_write, hear, hello, integer, number, on, pending, QOS, send, tell, done,
} from "CLONE/client-as/assembly/app";

const HEATER = 5;

export function onStart(): void {
  hello("@room 1"); // the application's name and version
  every(1000); // ms
}

export function onTick(): void {
  if (pending() > 3) return; // an outage: readings are skipped until it ends
  tell("=temp");
  number(adc_read());
  send(QOS);
}

export function onMessage(ptr: usize, length: i32): bool {
  if (!hear(ptr, length)) return true; // a plain line: this application expects none
  if (on("=heater")) {
    const level = integer(0) ? 1 : 0;
    gpio_write(HEATER, level);
    answer();
    number(level);
  }
  return done();
}
