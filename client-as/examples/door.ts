/**
 * A door opener at pin 5: the request `?door.7 open` unlocks it for three seconds, and is answered with `:door.7 open`,
 * or with `~door.7 busy` while it is unlocked. A contact at pin 4 reports `!door opened` and `!door closed`. The server
 * should give its requests a deadline, so that the door does not open when the link is back after an outage.
 */
export * from "../assembly/core";
export { canReceive } from "../assembly/app";
import {
  answer, debounce, done, every, gpio_read, gpio_write, hear, hello, is, on, QOS, refuse, send, tell, text,
} from "../assembly/app";

const LOCK = 5;
const CONTACT = 4; // high while the door is open
const TICK = 10;

let unlocked = 0; // ticks that are left
let contact = 0;
let told = 0;

export function onStart(): void {
  hello("@door 1");
  gpio_write(LOCK, 0);
  every(TICK);
}

export function onTick(): void {
  if (unlocked && !--unlocked) gpio_write(LOCK, 0);
  contact = debounce(contact, gpio_read(CONTACT));
  if (told == (contact & 1)) return;
  tell("!door");
  text(contact & 1 ? "opened" : "closed");
  if (send(QOS)) told = contact & 1;
}

export function onMessage(ptr: usize, length: i32): bool {
  if (!hear(ptr, length)) return true; // a plain line: not used
  if (on("?door") && is("open")) {
    if (unlocked) refuse("busy");
    else {
      unlocked = 3000 / TICK;
      gpio_write(LOCK, 1);
      answer();
      text("open");
    }
  }
  return done();
}
