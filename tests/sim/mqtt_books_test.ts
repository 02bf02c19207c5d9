/** The books of a bridge, in rare orders of events. */
import { assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { MqttBooks, type Publication } from "./mqtt_books.ts";
import { Tables } from "./tables.ts";

/** Books of a broker that has sent the bridge a message with this id, and has forgotten all since. */
function forgotten(id: number) {
  const limits = { outbox: Infinity, queueText: Infinity, totalText: Infinity };
  const view = { server: undefined, tables: new Tables(), disk: { devices: new Map([["A", {}]]) } };
  const plan = { version: 4, mostRows: 1000, isDescribed: false, lease: undefined } as const;
  const books = new MqttBooks(new Map(), view, plan, () => 0, limits);
  books.forgot([id], true);
  return books;
}

/** The broker sends a command, and the bridge acknowledges it and does nothing else. */
function isIgnored(books: MqttBooks, id: number): void {
  const topic = "holdfast/A/do/door";
  const downlink = books.downlinks.begins("!door 1", topic, "A", 1000);
  const publication: Publication = { topic, payload: "1", qos: 2, retain: false, downlink };
  books.goes(publication, id);
  books.taken(publication);
}

Deno.test("the bridge may mistake a message for one that the broker has forgotten, if it was not told of that", () => {
  const books = forgotten(7);
  books.wentBack([], []);
  isIgnored(books, 7);
  assertThrows(() => isIgnored(books, 8), Violation, "is taken, and is not safe");
});

Deno.test("the bridge mistakes no message for a forgotten one once it has begun a new session", () => {
  const books = forgotten(7);
  books.subscribed();
  books.wentBack([], []);
  assertThrows(() => isIgnored(books, 7), Violation, "is taken, and is not safe");
});
