import { assertEquals } from "@std/assert";
import { DeviceRecord, type DeviceState, type Journal, newState, WITHDRAWN } from "./record.ts";

/** Counts the calls of each method. */
class CountingJournal implements Journal {
  counts = { moved: 0, changed: 0, altered: 0, heard: 0, kept: 0 };

  moved(): void {
    this.counts.moved++;
  }

  changed(): void {
    this.counts.changed++;
  }

  altered(): void {
    this.counts.altered++;
  }

  heard(): void {
    this.counts.heard++;
  }

  kept(): void {
    this.counts.kept++;
  }

  replied(): void {}

  unreplied(): void {}
}

/** A record with something in every part of it. */
function full(sent = 2 ** 32 - 2): DeviceRecord {
  const record = new DeviceRecord("1", new CountingJournal(), newState(sent, { txEpoch: 7 }));
  for (const text of ["a", "b", "c"]) {
    record.receive(text);
    record.hear(record.inbox.length, text);
    record.write(text, { overtakes: text === "b", qos: text !== "c" }, 5);
  }
  record.setMemo("m", "1");
  record.safe = 2;
  record.release();
  record.giveId(record.outbox[1]);
  return record;
}

/** Everything that anybody can see of a record. */
function all(record: DeviceRecord) {
  const { id, safe, sent, txFirst, state } = record;
  return structuredClone({ id, safe, sent, txFirst, state });
}

Deno.test("record: processed messages can be put back", () => {
  const record = full();
  const before = all(record);
  const texts = [record.process(), record.process()];
  assertEquals(texts, ["a", "b"]);
  assertEquals([record.safe, record.inbox, record.positions.processed], [0, ["c"], 2]);
  for (const text of texts.reverse()) record.unprocess(text);
  assertEquals(all(record), before);
});

Deno.test("record: written messages can be taken back, also where numbers wrap around, and with nothing ahead", () => {
  for (const settled of [0, 3]) {
    const record = full();
    for (let i = 0; i < settled; i++) record.settle();
    const before = all(record);
    for (let i = 1; i < 5; i++) {
      record.write("new", { overtakes: false, qos: true }, 9);
      assertEquals(record.state.sent, before.state.sent + i);
      assertEquals(record.positions.txNext, (before.state.sent + i) % 2 ** 32);
    }
    for (let i = 1; i < 5; i++) record.unwrite();
    assertEquals(all(record), before);
  }
});

Deno.test("record: undoing is a change, because the store may already have the undone change", () => {
  const journal = new CountingJournal();
  const record = new DeviceRecord("1", journal);
  record.receive("a");
  record.unprocess(record.process());
  record.write("b", { overtakes: false, qos: true }, 0);
  record.unwrite();
  assertEquals(journal.counts, { moved: 5, changed: 0, altered: 0, heard: 0, kept: 0 });
});

Deno.test("record: its state is a live object that its keeper can copy", () => {
  const record = full();
  const { state } = record;
  const before = structuredClone(state);
  assertEquals(JSON.parse(JSON.stringify(state)).heard, before.heard);
  assertEquals(before.heard.map(([id]) => id), [1, 2, 3]);
  record.receive("d");
  record.hear(4, "d");
  record.withdraw(record.outbox[0]!);
  record.settle();
  record.write("e", { overtakes: false, qos: true }, 0);
  assertEquals(state.sent, before.sent + 1);
  assertEquals(state.inbox.length, 4);
  assertEquals(state.heard.length, 4);
  assertEquals(state.outbox.map(({ text }) => text), ["b", "c", "e"]);
});

Deno.test("record: a state makes the same record again", () => {
  const record = full();
  record.withdraw(record.outbox[2]!);
  record.settle();
  const state: DeviceState = structuredClone(record.state);
  const again = new DeviceRecord("1", new CountingJournal(), state);
  assertEquals(all(again), { ...all(record), safe: 3 }); // what a store has is safe
  assertEquals(again.outbox[1]!.text, WITHDRAWN);
  assertEquals(again.hear(3, "c"), false, "a repeat is known");
  assertEquals(again.memos, new Map([["m", "1"]]));
});

Deno.test("record: memos are replaced and removed, and setting the same again is no change", () => {
  const journal = new CountingJournal();
  const record = new DeviceRecord("1", journal);
  record.setMemo("a", undefined);
  assertEquals([record.memos.size, journal.counts.kept], [0, 0]);
  assertEquals(
    Object.hasOwn(record.state, "memos"),
    false,
    "a record without memos has no field for them",
  );
  for (const text of ["1", "1", "", ""]) record.setMemo("a", text);
  record.setMemo("__proto__", "2");
  assertEquals([record.memos.get("a"), record.memos.get("b")], ["", undefined]);
  assertEquals(journal.counts.kept, 3);
  const memos = [["a", ""], ["__proto__", "2"]];
  assertEquals(structuredClone(record.state).memos, memos as [string, string][]);
  assertEquals(JSON.parse(JSON.stringify(record.state)).memos, memos);
  for (const key of ["a", "a", "__proto__"]) record.setMemo(key, undefined);
  assertEquals([record.memos.size, record.state.memos, journal.counts.kept], [0, [], 5]);
});

Deno.test("record: a stored txSent behind the outbox means the same as one at its front", () => {
  const record = new DeviceRecord("1", new CountingJournal(), newState(2 ** 32 - 2));
  for (const text of ["a", "b", "c"]) record.write(text, { overtakes: false, qos: true }, 0);
  record.settle();
  assertEquals([record.sent, record.positions.txSent], [0, 2 ** 32 - 1]);
  const behind: DeviceState = structuredClone(record.state);
  behind.positions.txSent = 2 ** 32 - 2; // as in a store that has not learnt of it
  const again = new DeviceRecord("1", new CountingJournal(), behind);
  assertEquals(all(again).state, all(record).state);
});

Deno.test("record: when one of several messages that may have been sent has arrived, the others still may have been sent", () => {
  const record = new DeviceRecord("1", new CountingJournal(), newState(2 ** 32 - 2));
  for (const text of ["a", "b", "c"]) record.write(text, { overtakes: false, qos: true }, 0);
  record.release();
  record.settle();
  assertEquals([record.sent, record.positions.txSent], [2, 1]);
});
