/** What may wait in the store when another server takes a device for a moment. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { MESSAGE } from "../../server/link/pool.ts";
import { newState } from "../../server/link/record.ts";
import { emptyRows, type Rows } from "./disk.ts";
import { QueueBooks } from "./siege.ts";

/** The limit of all queues, and the longest text. */
const TOTAL = 4 * MESSAGE;
const LONGEST = 10;

/** The books of a world with the devices A and B. */
function made() {
  const books = new QueueBooks({ limits: { totalText: TOTAL }, devices: [], siege: false });
  /** So many empty messages wait for each of the two, besides a first one that may always wait. */
  const check = (a: number, b: number) =>
    books.check(LONGEST, new Map([["A", rowsOf(a)], ["B", rowsOf(b)]]));
  return { books, check };
}

function rowsOf(messages: number): Rows {
  const inbox = Array<string>(1 + messages).fill("");
  return { ...emptyRows(newState().positions, 0), inbox };
}

const FULL = "the queues of all devices hold";

Deno.test("all queues together hold one message more than their limit at most", () => {
  const { check } = made();
  check(3, 2);
  assertThrows(() => check(3, 3), Violation, FULL);
});

Deno.test("what waits for a device that the server has lost leaves its room to others, also once the device is back", () => {
  const { books, check } = made();
  check(3, 0);
  books.lost("A", rowsOf(3));
  check(3, 5);
  books.lost("A", rowsOf(1)); // once more; by then some has been processed
  check(3, 5); // an old copy of the store was put back
});

Deno.test("what comes for a device after the server has lost it counts, and so does all of the others", () => {
  const { books, check } = made();
  books.lost("A", rowsOf(3));
  assertThrows(() => check(3, 6), Violation, FULL);
  assertThrows(() => check(4, 5), Violation, FULL);
});

Deno.test("a device of which nothing was stored when the server lost it counts as before", () => {
  const { books, check } = made();
  books.lost("A", undefined);
  assertThrows(() => check(3, 3), Violation, FULL);
});
