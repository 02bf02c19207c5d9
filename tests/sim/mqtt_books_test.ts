/** The books of a bridge, in rare orders of events. */
import { assertEquals, assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { Books } from "./books.ts";
import { ChannelBooks } from "./channel_books.ts";
import { ANSWERS, MqttBooks, type Publication } from "./mqtt_books.ts";
import { STARTED } from "./mqtt_discovery.ts";
import { Tables } from "./tables.ts";

/** Books of a bridge, in a world with one device. */
function made(version: 4 | 5) {
  const limits = { outbox: Infinity, queueText: Infinity, totalText: Infinity };
  const view = { server: undefined, tables: new Tables(), disk: { devices: new Map([["A", {}]]) } };
  const plan = { version, mostRows: 1000, isDescribed: false, lease: undefined } as const;
  const channels = new ChannelBooks();
  const thing = channels.add("A", new Books("A", false, 3, () => 0));
  return { books: new MqttBooks(channels.things, view, plan, () => 0, limits), thing };
}

/** Books of a broker that has sent the bridge a message with this id, and has forgotten all since. */
function forgotten(id: number) {
  const { books } = made(4);
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

/** Books of a request that the bridge has taken. */
function requested() {
  const { books, thing } = made(5);
  const asked = books.asked.begins(thing, 1000);
  const topic = "holdfast/A/request/adc";
  const publication: Publication = { topic, payload: "1", qos: 2, retain: false, asked };
  const takes = () => {
    books.goes(publication, 7);
    books.taken(publication);
  };
  takes();
  const writes = () => thing.written("?adc.5000000000 1");
  return { books, publication, takes, writes };
}

/** Why it is not written. */
const REFUSALS = {
  "has no room": (books: MqttBooks) => {
    const payload = '{"error":"OUTBOX_FULL"}';
    books.routed({ topic: `${ANSWERS}/A`, payload, qos: 2, retain: false, correlation: "1" });
  },
  "is killed": (books: MqttBooks) => books.serverDied(),
};

for (const [why, refuse] of Object.entries(REFUSALS)) {
  Deno.test(`a request is never written once the server ${why}`, () => {
    const { books, writes } = requested();
    refuse(books);
    assertThrows(writes, Violation, "was refused, and is written");
    books.wentBack([], [7]);
    assertThrows(writes, Violation, "was refused, and is written");
  });

  Deno.test(`a request is written after the server ${why} if the broker sends it again from an older state`, () => {
    const { books, publication, takes, writes } = requested();
    refuse(books);
    books.wentBack([publication], [7]);
    books.serverDied(); // the bridge has yet to take it again
    takes();
    writes();
  });
}

Deno.test("a request that the broker has sent again is not written once it is taken and the server is killed", () => {
  const { books, publication, takes, writes } = requested();
  books.wentBack([publication], [7]);
  takes();
  books.serverDied();
  assertThrows(writes, Violation, "was refused, and is written");
});
