/**
 * What the tests of `SqliteStore` do to a store, step by step and always the same, so that its state after
 * any number of steps is known. As a program it takes steps until it is killed, and tells how many are
 * safe: `deno run -A sqlite_test_steps.ts PATH TEXT_LENGTH`.
 */
import { type DeviceRecord, type Store, WITHDRAWN } from "../store.ts";
import { SqliteStore } from "./sqlite.ts";

export const IDS = ["a", "b", "ü\u{1F600}"];

/** Everything in a record, to be compared. */
export function snapshot(record: DeviceRecord) {
  const heard = Array.from({ length: 256 }, (_, id) => record.duplicates.noted(id));
  const { inbox, positions } = record;
  const outbox = record.outbox.map(({ written: _, ...message }) => message); // exact to a ms only
  return structuredClone({ inbox, outbox, positions, heard });
}

export function snapshots(store: Store) {
  return IDS.map((id) => store.get(id) && snapshot(store.get(id)!));
}

/** Steps that a store has seen. */
export function stepsOf(store: Store): number {
  return store.get(IDS[0]!)?.positions.rxNext ?? 0;
}

/** Changes every device in most ways there are; `i` is 1 for the first step. */
export function step(store: Store, i: number, length: number): void {
  for (const [n, id] of IDS.entries()) {
    const record = store.get(id) ?? store.create(id);
    const { inbox, outbox, positions } = record;
    const text = `${i} ${id}`.padEnd(length, ".");
    if (i === 1) {
      record.change({ txEpoch: 7 + n, txNext: 2 ** 32 - 20, txSent: 2 ** 32 - 20 });
    }
    if (i % 50 === n) record.change({ connects: positions.connects + 1 });
    record.hear(i % 300 === 0 ? 0 : (i ^ 1) % 255 + 1, text); // pairs overtake each other
    record.receive(text);
    record.change({ rxNext: i });
    while (inbox.length > (i + n) % 7) record.process();
    const message = record.write(text, { overtakes: i % 3 === n, qos: i % 5 !== n }, 0);
    if (i % 8 === n) record.release();
    if (i % 4 === n) record.giveId(message);
    const older = outbox[outbox.length >> 1]!;
    if (i % 6 === n) record.giveId(older);
    if (i % 11 === n && older.text !== WITHDRAWN) record.withdraw(older);
    while (outbox.length > (i + n) % 9) record.settle();
  }
}

if (import.meta.main) {
  const [path = "", length = ""] = Deno.args;
  const store = new SqliteStore(path);
  for (let i = stepsOf(store) + 1;; i++) {
    step(store, i, Number(length));
    store.commit();
    Deno.stdout.writeSync(new TextEncoder().encode(`${i}\n`));
  }
}
