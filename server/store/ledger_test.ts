import { assertEquals } from "@std/assert";
import { newState } from "../link/record.ts";
import { Ledger } from "./ledger.ts";
import type { RowWriter } from "./store.ts";

/** Records its calls, one text each. */
class Noting implements RowWriter {
  rows: string[] = [];

  positions(_: unknown, sent: number): void {
    this.rows.push(`positions, ${sent} sent`);
  }

  received(number: number, text: string): void {
    this.rows.push(`received ${number} ${text}`);
  }

  processed(before: number): void {
    this.rows.push(`processed ${before}`);
  }

  written(number: number, { text, id }: { text: string; id: number | undefined }): void {
    this.rows.push(`written ${number} ${id ?? "-"} ${text}`);
  }

  settled(before: number): void {
    this.rows.push(`settled ${before}`);
  }

  forgotten(): void {
    this.rows.push("forgotten");
  }

  heard(id: number): void {
    this.rows.push(`heard ${id}`);
  }

  deadLetterAdded({ number, text, error }: { number: number; text: string; error: string }): void {
    this.rows.push(`dead letter ${number} ${text}: ${error}`);
  }

  deadLetterRemoved(number: number): void {
    this.rows.push(`no dead letter ${number}`);
  }

  memo(key: string, text: string | undefined): void {
    this.rows.push(`memo ${key} ${text ?? "-"}`);
  }
}

function started(sent = 0) {
  const changed = new Set<Ledger>();
  const acquired = { state: undefined, token: 1 };
  const ledger = new Ledger("1", acquired, changed, newState(sent));
  const { record } = ledger;
  return {
    ledger,
    changed,
    record,
    write: (text: string) => record.write(text, { overtakes: false, qos: true }, 0),
    /** The rows that are written to a store now. */
    told(): string[] {
      const noting = new Noting();
      ledger.write(noting);
      return noting.rows;
    },
    commit(): void {
      ledger.committed();
      changed.clear();
    },
  };
}

Deno.test("ledger: the first change of an unknown device adds it, and its row is written first", () => {
  const { ledger, changed, record, told } = started();
  assertEquals([changed.size, ledger.differs, told()], [0, false, []]);
  record.receive("a");
  assertEquals([[...changed], ledger.differs], [[ledger], true]);
  assertEquals(told(), ["positions, 0 sent", "received 0 a"]);
});

Deno.test("ledger: until it is committed, the same difference is written again", () => {
  const { record, changed, write, told, commit } = started(2 ** 32 - 1);
  record.receive("a");
  write("x");
  write("y");
  const rows = ["positions, 4294967297 sent", "received 0 a"]
    .concat("written 4294967295 - x", "written 4294967296 - y");
  assertEquals(told(), rows);
  assertEquals(told(), rows);
  commit();
  assertEquals(told(), []);
  record.receive("b");
  assertEquals([changed.size, told()], [1, ["received 1 b"]]);
});

Deno.test("ledger: after a failed commit the next one writes what is missing by then", () => {
  const { record, write, told, commit } = started();
  record.receive("a");
  write("x");
  told(); // this commit fails
  record.process();
  record.settle();
  record.receive("b");
  write("y");
  assertEquals(told(), ["positions, 2 sent", "received 1 b", "written 1 - y"]);
  commit();
  record.process();
  record.settle();
  assertEquals(told(), ["positions, 2 sent", "processed 2", "settled 2"]);
});

Deno.test("ledger: an undone change is not written", () => {
  const { ledger, record, write, told, commit } = started();
  record.receive("a");
  write("x");
  commit();
  for (let i = 0; i < 2; i++) {
    const text = record.process();
    write("y");
    assertEquals(told(), ["positions, 2 sent", "processed 1", "written 1 - y"]);
    record.unwrite();
    record.unprocess(text);
    assertEquals([ledger.differs, told(), record.safe], [false, [], 1]);
  }
  commit();
  assertEquals(told(), []);
});

Deno.test("ledger: a device whose changes were all undone is still unknown", () => {
  const { record, write, told, commit } = started();
  write("x");
  record.unwrite();
  commit();
  record.receive("a");
  assertEquals(told(), ["positions, 0 sent", "received 0 a"]);
});

Deno.test("ledger: a message that gets an id or is withdrawn is written again, unless it has been settled", () => {
  const { record, write, told, commit } = started(2 ** 32 - 2);
  for (const text of ["a", "b", "c", "d"]) write(text);
  commit();
  const [a, b, , d] = record.outbox;
  for (const message of [a, b, d]) record.withdraw(message!);
  record.giveId(b);
  record.settle();
  assertEquals(told().map((row) => row.replace("\0", "withdrawn")), [
    "positions, 4294967298 sent",
    "settled 4294967295",
    "written 4294967295 0 withdrawn",
    "written 4294967297 - withdrawn",
  ]);
  commit();
  assertEquals(told(), []);
  const e = write("e");
  record.giveId(e); // it is new, and written once
  assertEquals(told(), ["positions, 4294967299 sent", "written 4294967298 1 e"]);
});

Deno.test("ledger: received ids are written one by one, and again after id 00", () => {
  const { record, told, commit } = started();
  record.change({ connects: 1 });
  for (const id of [0, 1, 2]) record.hear(id, `${id}`);
  assertEquals(told(), ["positions, 0 sent", "forgotten", "heard 0", "heard 1", "heard 2"]);
  commit();
  record.hear(2, "other");
  record.hear(2, "another");
  record.hear(1, "1"); // a repeat
  assertEquals(told(), ["heard 2"]);
  commit();
  record.change({ connects: 2 });
  record.hear(0, "booted");
  record.hear(7, "7");
  assertEquals(told(), ["positions, 0 sent", "forgotten", "heard 0", "heard 7"]);
});

Deno.test("ledger: a check of the token alone is part of one commit, and writes no rows", () => {
  const { ledger, changed, told, record, commit } = started();
  const differs = () => [[...changed], ledger.differs];
  ledger.check();
  assertEquals([ledger.differs, told()], [false, []], "the store does not know the device");
  record.receive("a");
  commit();
  ledger.check();
  ledger.check();
  assertEquals([differs(), told()], [[[ledger], true], []]);
  ledger.uncheck();
  assertEquals(ledger.differs, true, "one check is left");
  commit();
  assertEquals(differs(), [[], false]);
  ledger.check();
  ledger.uncheck();
  assertEquals(ledger.differs, false, "undone");
});

Deno.test("ledger: what the store already has is not written", () => {
  const { record, write } = started();
  record.receive("a");
  write("x");
  record.hear(1, "a");
  record.setMemo("m", "1");
  const changed = new Set<Ledger>();
  const ledger = new Ledger("1", { state: structuredClone(record.state), token: 4 }, changed);
  const noting = new Noting();
  ledger.write(noting);
  assertEquals([noting.rows, changed.size, ledger.differs, ledger.token], [[], 0, false, 4]);
  assertEquals(ledger.record.safe, 1);
  assertEquals(structuredClone(ledger.state), structuredClone(record.state));
});

Deno.test("ledger: each dead letter is written once when it is added, and once when it is removed", () => {
  const { ledger, record, changed, told } = started();
  for (const text of ["a", "b", "c"]) record.receive(text);
  ledger.committed();
  changed.clear();
  record.addDeadLetter("no", 0);
  assertEquals([ledger.differs, told().filter((row) => /dead letter/.test(row))], [
    true,
    ["dead letter 0 a: no"],
  ]);
  ledger.committed();
  changed.clear();
  assertEquals([ledger.differs, told()], [false, []]);
  // One is removed and another one added: there are as many as before.
  record.removeDeadLetter(record.state.deadLetters![0]!, false);
  record.addDeadLetter("nor this", 0);
  assertEquals(changed.has(ledger), true);
  assertEquals(told().filter((row) => /dead letter/.test(row)), [
    "no dead letter 0",
    "dead letter 1 b: nor this",
  ]);
  ledger.committed();
  changed.clear();
  record.removeDeadLetter(record.state.deadLetters![0]!, false);
  assertEquals([ledger.differs, told()], [true, ["no dead letter 1"]]);
});

Deno.test("ledger: each memo is written once when it is added, changed or removed", () => {
  const { ledger, record, changed, told, commit } = started();
  record.setMemo("a", "1");
  record.setMemo("a", "2");
  record.setMemo("b", "1");
  record.setMemo("none", undefined);
  assertEquals([changed.size, ledger.differs], [1, true]);
  const rows = ["positions, 0 sent", "memo a 2", "memo b 1"];
  assertEquals(told(), rows);
  assertEquals(told(), rows, "and the same after a failed commit");
  commit();
  record.setMemo("a", "2");
  assertEquals([changed.size, ledger.differs, told()], [0, false, []], "it is the same");
  record.setMemo("a", undefined);
  record.setMemo("b", "");
  record.receive("x");
  assertEquals(told(), ["received 0 x", "memo a -", "memo b "]);
  commit();
  assertEquals([ledger.differs, told()], [false, []]);
});

Deno.test("ledger: a memo that has the stored value again is not written", () => {
  const { ledger, record, told, commit } = started();
  record.setMemo("new", "1");
  record.setMemo("new", undefined);
  assertEquals([ledger.differs, told()], [false, []]);
  commit();
  record.setMemo("a", "1");
  assertEquals(told(), ["positions, 0 sent", "memo a 1"], "the device is still unknown");
  commit();
  for (const text of ["2", undefined, "3"]) {
    record.setMemo("a", text);
    assertEquals(told(), [`memo a ${text ?? "-"}`]);
    record.setMemo("a", "1");
    assertEquals([ledger.differs, told()], [false, []]);
  }
  // Written in a commit that fails.
  record.setMemo("a", "2");
  told();
  record.setMemo("a", "1");
  assertEquals([ledger.differs, told()], [false, []]);
});

Deno.test("ledger: a message that got an id, or was withdrawn, is written again, if the store has it", () => {
  const { ledger, record, changed, write, told } = started();
  write("a");
  write("b");
  ledger.committed();
  changed.clear();
  record.withdraw(record.outbox[1]!);
  assertEquals([ledger.differs, changed.has(ledger)], [true, true]);
  assertEquals(told(), ["written 1 - \0"]);
  ledger.committed();
  assertEquals([ledger.differs, told()], [false, []]);
});

Deno.test("ledger: no message of a removed device counts as safe, so none is shown to anybody", () => {
  const { ledger, record, commit } = started();
  record.receive("a");
  ledger.remove();
  commit();
  assertEquals(record.safe, 0);
});
