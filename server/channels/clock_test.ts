/** When a reading was taken, by the device's own milliseconds. */
import { assertEquals } from "@std/assert";
import { Records } from "../../tests/support/records.ts";
import type { DeviceRecord } from "../link/record.ts";
import { renumbered, Timekeeper } from "./clock.ts";

const DATE = 1_700_000_000_000;
const ROUND = 2 ** 32;
const DAY = 86_400_000;

function device(): DeviceRecord {
  return new Records().create("1");
}

/** The timekeeper of a process that starts at that time. */
function keeper(date: number): Timekeeper {
  return new Timekeeper({ now: () => 0, date: () => date });
}

function noteClock(record: DeviceRecord, metadata: string, date: number): string | undefined {
  return keeper(date).note(record, metadata);
}

function takenAt(record: DeviceRecord, number: number, stamp: number, date: number) {
  return keeper(date).takenAt(record, number, stamp);
}

/** A new stream begins. */
function boots(record: DeviceRecord, epoch: number, metadata: string, date: number) {
  record.change({ rxEpoch: epoch, rxNext: 0 });
  return noteClock(record, metadata, date);
}

function says(record: DeviceRecord, ...texts: string[]): void {
  for (const text of texts) record.inbox.push(text);
}

Deno.test("a stamp gives a reading's age, however much time has passed since", () => {
  const record = device();
  boots(record, 1, "version=1 ms=5000 board=x", DATE);
  assertEquals(takenAt(record, 0, 4000, DATE), DATE - 1000, "before the connection");
  assertEquals(takenAt(record, 0, 4000, DATE + 7 * DAY), DATE - 1000, "processed a week later");
  assertEquals(takenAt(record, 0, 9000, DATE + 4000), DATE + 4000, "on the connection");
});

Deno.test("the counter wraps around", () => {
  const record = device();
  boots(record, 1, "ms=1000", DATE);
  assertEquals(takenAt(record, 0, ROUND - 500, DATE), DATE - 1500);
  noteClock(record, `ms=${ROUND - 1}`, DATE + ROUND - 1001);
  assertEquals(takenAt(record, 0, 1999, DATE + ROUND + 999), DATE + ROUND + 999);
  assertEquals(takenAt(record, 0, ROUND - 1, DATE + ROUND), DATE + ROUND - 1001);
});

Deno.test("a reading is never in the future", () => {
  const record = device();
  boots(record, 1, "ms=5000", DATE);
  assertEquals(takenAt(record, 0, 5300, DATE + 100), DATE + 100, "the hello took 200 ms");
  assertEquals(
    takenAt(record, 0, 5300, DATE - DAY / 2),
    DATE - DAY / 2,
    "the server's clock was set back",
  );
});

Deno.test("each connection corrects the clock", () => {
  const record = device();
  boots(record, 1, "ms=0", DATE);
  noteClock(record, "ms=9000", DATE + 10_000); // its clock is slow
  assertEquals(takenAt(record, 0, 8000, DATE + 10_000), DATE + 9000);
});

Deno.test("messages of several boots wait: each uses the clock of its boot", () => {
  const record = device();
  boots(record, 1, "ms=100000", DATE);
  says(record, "a", "b");
  boots(record, 2, "ms=700", DATE + 60_000);
  says(record, "c");
  const now = DATE + 3_600_000;
  assertEquals(takenAt(record, 0, 99_000, now), DATE - 1000);
  assertEquals(takenAt(record, 1, 101_000, now), DATE + 1000);
  assertEquals(takenAt(record, 2, 200, now), DATE + 59_500);
  for (let i = 0; i < 3; i++) record.process();
  says(record, "d");
  assertEquals(takenAt(record, 3, 800, now), DATE + 60_100);
});

Deno.test("a boot without valid milliseconds has no clock; nor has a forgotten one", () => {
  const record = device();
  assertEquals(takenAt(record, 0, 1, DATE), undefined, "the device has sent no milliseconds");
  boots(record, 1, "version=1", DATE);
  assertEquals(record.memos.size, 0, "and it costs nothing");
  boots(record, 2, "ms=5", DATE);
  says(record, "a");
  noteClock(record, "", DATE + 1000);
  says(record, "b");
  assertEquals(takenAt(record, 0, 5, DATE + 1000), DATE);
  assertEquals(takenAt(record, 1, 5, DATE + 1000), undefined);
  for (const nonsense of ["", "-1", "1.5", "0x10", "1e3", "4294967296", "99999999999", "ten"]) {
    const fresh = device();
    boots(fresh, 1, "ms=1", DATE);
    says(fresh, "a");
    assertEquals(
      boots(fresh, 2, `ms=${nonsense} version=1`, DATE),
      `ms=${nonsense} is out of range: 0 to 4294967295, in ms`,
    );
    assertEquals([takenAt(fresh, 0, 1, DATE), takenAt(fresh, 1, 1, DATE)], [DATE, undefined]);
  }
  assertEquals(noteClock(device(), "items=5", DATE), undefined, "another word that ends in ms");
});

Deno.test("of many boots only the newest are kept", () => {
  const record = device();
  for (let boot = 1; boot <= 1000; boot++) {
    boots(record, boot, "ms=0", DATE + boot);
    says(record, "a");
  }
  assertEquals(record.memos.get("ms")!.length < 1000, true);
  const taken = (number: number) => takenAt(record, number, 0, DATE + 5000);
  assertEquals([taken(991), taken(992), taken(999)], [undefined, DATE + 993, DATE + 1000]);
});

Deno.test("a boot without a message, or whose messages were processed, is forgotten", () => {
  const record = device();
  for (let boot = 1; boot <= 5; boot++) boots(record, boot, "ms=0", DATE + boot);
  assertEquals(JSON.parse(record.memos.get("ms")!).length, 1);
  says(record, "a");
  record.process();
  boots(record, 6, "ms=0", DATE + 6);
  assertEquals(JSON.parse(record.memos.get("ms")!).length, 1);
});

Deno.test("a revived dead letter uses the clock of its boot", () => {
  const record = device();
  boots(record, 1, "ms=1000", DATE);
  says(record, "a", "b");
  record.addDeadLetter("why", DATE);
  boots(record, 2, "ms=0", DATE + 60_000);
  says(record, "c");
  record.removeDeadLetter(record.state.deadLetters![0]!, true);
  renumbered(record, 0);
  says(record, "d");
  const now = DATE + 100_000;
  const taken = [1, 2, 3, 4].map((number) => takenAt(record, number, 500, now));
  assertEquals(taken, [DATE - 500, DATE + 60_500, DATE - 500, DATE + 60_500]);
});

Deno.test("a process measures ages with its monotonic clock", () => {
  const record = device();
  let [now, date] = [500, 0]; // a machine that does not know the date yet
  const keeper = new Timekeeper({ now: () => now, date: () => date });
  record.change({ rxEpoch: 1 });
  keeper.note(record, "ms=5000");
  now += 10_000;
  date = DATE;
  assertEquals(keeper.takenAt(record, 0, 14_000), DATE - 1000);
  date = DATE - 7 * DAY;
  assertEquals(keeper.takenAt(record, 0, 14_000), date - 1000);
});

Deno.test("another process measures ages with the date, not with its own monotonic clock", () => {
  const record = device();
  record.change({ rxEpoch: 1 });
  new Timekeeper({ now: () => 90_000, date: () => DATE }).note(record, "ms=5000");
  const later = new Timekeeper({ now: () => 10, date: () => DATE + 7 * DAY });
  assertEquals(later.takenAt(record, 0, 4000), DATE - 1000);
  // The device sent this 500 ms before it had proved its identity.
  new Timekeeper({ now: () => 90_000, date: () => DATE }).note(record, "ms=5000", 500);
  assertEquals(later.takenAt(record, 0, 4000), DATE - 1500);
});
