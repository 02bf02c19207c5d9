/** A plug: a relay at pin 5, which the server switches. README.md tells how to run it. */
export * from "../../../client-as/assembly/core";
export { canReceive } from "../../../client-as/assembly/app";
import { answer, done, gpio_write, hear, hello, integer, number, on } from "../../../client-as/assembly/app";

export function onStart(): void {
  hello("@plug 1");
}
export function onMessage(ptr: usize, length: i32): bool {
  const wanted = hear(ptr, length) && on("=power") ? integer(-1) : -1;
  if (wanted == 0 || wanted == 1) {
    gpio_write(5, wanted);
    answer();
    number(wanted);
  }
  return done();
}
