/**
 * Messages with a deadline: "open the door" must not arrive an hour late. Each of them arrives, or the application is
 * told that it has expired: then it will never arrive.
 *
 *     begin(20);
 *     text("the bell rings");
 *     sendWithin(5000);
 *
 *     export function onTick(): void {
 *       if (expired()) gpio_write(LED, 1); // it has not arrived, and never will
 *     }
 *
 * They cost nothing in an application without such messages. When an application boots its core again (`configure`), no
 * such message may be waiting: the numbers start again.
 */
import { millis } from "./board";
import { expire, registers } from "./core";
import { TX_FIRST, TX_NEXT } from "./registers";
import { QOS, send } from "./text";

/** Most messages with a deadline that can wait at once: the outbox of a chip holds no more messages. */
const MOST: i32 = 8;
let count = 0;
let asleep = false; // or about to sleep: then no message could be withdrawn in time

/** The number and the deadline of each. */
function table(): usize {
  return memory.data(64, 4);
}

/**
 * Sends the line with qos and a deadline in this many ms, 1 to 2,147,483,647. False if `send` refuses it, if 8 such
 * lines wait already, or if the board is about to sleep.
 */
export function sendWithin(ms: i32): bool {
  const number = load<i32>(registers() + TX_NEXT);
  if (ms < 1 || count == MOST || asleep || !send(QOS)) return false;
  remember(number, millis() + ms);
  return true;
}

/**
 * How many lines with a deadline have expired since the last call: they will never arrive. Call it in `onTick`, every
 * second or more often. A line that was on its way when the link was lost holds up all lines after it, from its deadline
 * until this function is called on the next link.
 *
 * In dialect 1 a line that was sent and not acknowledged counts as expired, although it may have arrived.
 */
export function expired(): i32 {
  const now = millis();
  const waiting = count;
  let withdrawn = 0;
  count = 0;
  for (let i = 0; i < waiting; i++) {
    const entry = table() + (i << 3);
    const number = load<i32>(entry);
    const end = load<i32>(entry, 4);
    if (number - load<i32>(registers() + TX_FIRST) < 0) continue; // it has arrived
    if (now - end >= 0 && expire(number)) {
      withdrawn++;
      continue;
    }
    remember(number, end);
  }
  return withdrawn;
}

/** Sets whether the board is about to sleep: then no line with a deadline is accepted. */
export function suspend(sleeps: bool): void {
  asleep = sleeps;
}

/** How many lines with a deadline are undecided: each counts until `expired` has seen it arrive or withdrawn it. */
export function withDeadline(): i32 {
  return count;
}

function remember(number: i32, end: i32): void {
  if (!DEADLINES) ERROR("this application has deadlines"); // so `build.ts` knows
  const entry = table() + (count++ << 3);
  store<i32>(entry, number);
  store<i32>(entry, end, 4);
}
