/** The books of a bridge, in rare orders of events. */
import { assertEquals, assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { MqttBooks, type Publication } from "./mqtt_books.ts";
import { STARTED } from "./mqtt_discovery.ts";
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

const CONFIG = "homeassistant/device/holdfast__A/config";
const NOT_TOLD = `${CONFIG} is not told again to Home Assistant, which has started`;

/** Books of a broker that has announced a device to Home Assistant, and has forgotten a message with this id. */
function announced(id: number): MqttBooks {
  const books = forgotten(id);
  books.routed({ topic: CONFIG, payload: '{"cmps":{}}', qos: 2, retain: true });
  return books;
}

function startMessage(): Publication {
  return { topic: STARTED, payload: "online", qos: 2, retain: false };
}

/** What is wrong if Home Assistant is told nothing more. */
function wrongWith({ discovery }: MqttBooks): string | undefined {
  return discovery.unfinished(new Map(), new Map(), () => false);
}

Deno.test("the bridge may mistake the start of Home Assistant for a forgotten message, and only that", () => {
  const books = announced(7);
  books.wentBack([], []);
  for (const [id, why] of [[7, undefined], [8, NOT_TOLD]] as const) {
    const message = startMessage();
    books.goes(message, id);
    books.taken(message);
    assertEquals(wrongWith(books), why);
  }
});

Deno.test("a start of Home Assistant that a broker repeats from an older state may have had its effect", () => {
  const books = announced(7);
  const message = startMessage();
  books.goes(message, 8);
  books.taken(message);
  assertEquals(wrongWith(books), NOT_TOLD);
  books.wentBack([message], [8]);
  books.taken(message);
  assertEquals(wrongWith(books), undefined);
});
