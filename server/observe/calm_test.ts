import { noMessages } from "../link/counts.ts";
import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { calm, logFrom } from "./calm.ts";
import type { LogEntry } from "./log.ts";

const DAY = 24 * 3600 * 1000;

/** A bounded log with a clock of its own. */
class Book {
  readonly clock = new ManualClock();
  entries: LogEntry[] = [];
  readonly say = calm((entry) => this.entries.push(entry), this.clock);

  get bytes(): number {
    return JSON.stringify(this.entries).length;
  }

  /** Logs an entry this many times, spread over a day. */
  async allDay(entry: LogEntry, times: number): Promise<void> {
    for (let n = 0; n < times; n += 10) {
      for (let i = 0; i < 10; i++) this.say(entry);
      await this.clock.advance(10 * DAY / times);
    }
  }
}

Deno.test("entries that come rarely are logged as they are", async () => {
  const book = new Book();
  const entries: LogEntry[] = [
    { event: "listening", address: "[::]:8123" },
    { event: "connected", device: "1", address: "[::1]:4711", connects: 1, dialect: 2 },
    { event: "log", device: "1", message: "here" },
    { event: "refused", claimed: "x", address: "10.0.0.7:4711", code: "NOT_ADMITTED" },
    { event: "warning", code: "KEYS_EXPOSED" },
    { event: "store", code: "STORE_FAILED" },
    { event: "disconnected", device: "1", address: "[::1]:4711", code: "LOST" },
  ];
  for (const entry of entries) book.say(entry);
  for (const entry of entries) {
    await book.clock.advance(10_000);
    book.say(entry);
  }
  assertEquals(book.entries, [...entries, ...entries]);
  book.say({ event: "closed" });
  assertEquals(book.clock.timers, 0);
});

Deno.test("a device's milliseconds are left out of its logged metadata", () => {
  const told: (string | undefined)[] = [];
  const listener = logFrom(({ metadata }) => told.push(metadata), new ManualClock());
  const of = { device: "1", address: "[::1]:4711", connects: 1, dialect: 2 } as const;
  for (
    const metadata of ["reset=power-on ms=0000000042", "ms=1 a=1", "ms=1", "items=5", "ms= x=1"]
  ) {
    listener({ event: "connected", ...of, metadata });
  }
  assertEquals(told, ["reset=power-on", "a=1", undefined, "items=5", "x=1"]);
});

const FLOODS: [string, LogEntry, number][] = [
  ["a device's own lines", { event: "log", device: "1", message: "x".repeat(16_000) }, 25_000_000],
  ["a device that comes", { event: "connected", device: "1", address: "10.0.0.7:1" }, 13_000_000],
  ["a device that goes", { event: "disconnected", device: "1", code: "BAD_LINE" }, 13_000_000],
  ["an application that fails", { event: "app_failed", device: "1", message: "x" }, 13_000_000],
  ["refusals of a peer", { event: "refused", address: "10.0.0.7:1", code: "LOST" }, 13_000_000],
  ["refusals without an address", { event: "refused", code: "NOT_ACCEPTED" }, 13_000_000],
  ["a store that flaps", { event: "store" }, 25_000_000],
  ["warnings", { event: "warning", code: "X", message: "x".repeat(99_999) }, 25_000_000],
];

for (const [what, entry, most] of FLOODS) {
  Deno.test(`a day's flood is bounded: ${what}`, async () => {
    const book = new Book();
    for (let n = 0; n < 1000; n++) book.say(entry); // at once
    await book.allDay(entry, 300_000);
    assert(book.bytes < most, `${book.bytes} bytes`);
    assert(book.bytes > 1_000_000, `${book.bytes} bytes: too little is logged`);
    book.say({ event: "closed" });
    const said = book.entries.filter(({ event }) => event === entry.event).length;
    const unsaid = book.entries.reduce((sum, { unsaid = 0 }) => sum + unsaid, 0);
    const counts = book.entries.filter(({ code }) => code === "UNSAID").length;
    const total = said + unsaid - (entry.event === "warning" ? counts : 0);
    assertEquals(total, 301_000, "the suppressed entries were counted");
  });
}

Deno.test("a flood from one source suppresses nothing from the others", () => {
  const book = new Book();
  for (let n = 0; n < 1000; n++) {
    book.say({ event: "log", device: "loud", message: "here I am again" });
    book.say({ event: "refused", address: `10.0.0.7:${n}`, code: "BAD_HELLO" });
  }
  const others: LogEntry[] = [
    { event: "connected", device: "loud", connects: 1 },
    { event: "log", device: "quiet", message: "here" },
    { event: "refused", address: "10.0.0.8:1", code: "BAD_HELLO" },
    { event: "refused", address: "[fe80::7]:1", code: "BAD_HELLO" },
    { event: "warning", code: "KEYS_EXPOSED" },
  ];
  for (const entry of others) book.say(entry);
  assertEquals(book.entries.slice(-5), others);
});

Deno.test("200 lines of a device's boot are all logged", () => {
  const book = new Book();
  const line = "wifi: connected to the access point, channel 11, -67 dBm";
  for (let n = 0; n < 200; n++) book.say({ event: "log", device: "1", message: line });
  assertEquals(book.entries.length, 200);
});

Deno.test("the entries of a peer under many names are bounded, and so are those of many peers", () => {
  const book = new Book();
  for (let n = 0; n < 20_000; n++) {
    book.say({ event: "connected", device: `${n}`, address: `10.0.0.7:${n}` });
  }
  assert(book.bytes < 1_200_000, `${book.bytes}`);
  const before = book.bytes;
  for (let n = 0; n < 20_000; n++) {
    book.say({ event: "refused", address: `10.${n >> 8}.${n & 255}.1:1`, code: "BAD_HELLO" });
  }
  assert(book.bytes - before < 100_000, `${book.bytes - before}`);
});

Deno.test("many addresses of one IPv6 network count as one peer", () => {
  const book = new Book();
  for (let n = 0; n < 2000; n++) {
    const address = `[2001:db8:0:1::${n.toString(16)}]:1`;
    book.say({ event: "refused", address, code: "BAD_HELLO" });
  }
  assert(book.bytes < 5000, `${book.bytes}`);
  const other = { event: "refused", address: "[2001:db8:0:2::1]:1", code: "BAD_HELLO" } as const;
  book.say(other);
  assertEquals(book.entries.at(-1), other);
});

Deno.test("the number of suppressed entries is logged with the next one, or soon by itself, or at the end", async () => {
  const flood = (book: Book) => {
    for (let n = 0; n < 1000; n++) book.say({ event: "log", device: "1", message: "here" });
    const unsaid = 1000 - book.entries.length;
    book.entries = [];
    return unsaid;
  };
  const next = new Book();
  let unsaid = flood(next);
  await next.clock.advance(1000);
  next.say({ event: "log", device: "1", message: "there" });
  assertEquals(next.entries, [{ event: "log", device: "1", message: "there", unsaid }]);
  await next.clock.advance(60_000);
  assertEquals([next.entries.length, next.clock.timers], [1, 0]);

  const soon = new Book();
  unsaid = flood(soon);
  await soon.clock.advance(10_000);
  assertEquals(soon.entries, [{ event: "warning", device: "1", code: "UNSAID", unsaid }]);
  assertEquals(soon.clock.timers, 0);

  const end = new Book();
  unsaid = flood(end);
  end.say({ event: "closed" });
  assertEquals(end.entries, [
    { event: "warning", device: "1", code: "UNSAID", unsaid },
    { event: "closed" },
  ]);
  assertEquals(end.clock.timers, 0);
});

Deno.test("a very long message is cut, and stays well-formed", () => {
  const book = new Book();
  book.say({
    event: "app_failed",
    device: "1",
    message: `${"x".repeat(2047)}🐙${"x".repeat(9999)}`,
  });
  const { message = "" } = book.entries[0]!;
  assertEquals([message.length, message.isWellFormed(), message.at(-1)], [2049, true, "…"]);
});

Deno.test("events that are only for programs are not logged", () => {
  const entries: LogEntry[] = [];
  const listener = logFrom((entry) => entries.push(entry), new ManualClock());
  listener({ event: "booted", device: "1" });
  listener({ event: "app_started", device: "1" });
  listener({ event: "messages", device: "1", ...noMessages() });
  assertEquals(entries, []);
});
