/**
 * Changes to devices for tests of `SqliteStore`, step by step and always the same, so that the state after any number
 * of steps is known. As a program it takes steps until it is killed, and prints how many are safe: `deno run -A
 * store_steps.ts PATH TEXT_LENGTH`.
 */
import { newState, WITHDRAWN } from "../../server/link/record.ts";
import { SqliteStore } from "../../server/store/sqlite/sqlite.ts";
import type { Store } from "../../server/store/store.ts";
import { plain, StoreDriver } from "./store_driver.ts";

const IDS = ["a", "b", "ü\u{1F600}"];

/** The devices for the steps. */
export async function stepping(store: Store): Promise<StoreDriver> {
  const driver = await StoreDriver.on(store);
  for (const [n, id] of IDS.entries()) {
    const fresh = newState(2 ** 32 - 20, { txEpoch: 7 + n });
    if (!driver.ledgers.has(id)) await driver.acquire(id, fresh);
  }
  return driver;
}

/** Comparable states of all devices. */
export function snapshots(driver: StoreDriver) {
  return IDS.map((id) => {
    const { outbox, ...rest } = plain(driver.record(id).state);
    // Times are exact to a ms only.
    return { ...rest, outbox: outbox.map(({ written: _, ...message }) => message) };
  });
}

/** The number of steps that these devices have taken. */
export function stepsOf(driver: StoreDriver): number {
  return driver.record(IDS[0]!).positions.rxNext;
}

/** Changes every device in most of the possible ways; `i` is 1 for the first step. */
export function step(driver: StoreDriver, i: number, length: number): void {
  for (const [n, id] of IDS.entries()) {
    const record = driver.record(id);
    const { inbox, outbox, positions } = record;
    const text = `${i} ${id}`.padEnd(length, ".");
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
    record.setMemo(`${i % 5}`, i % 9 === n ? undefined : i % 2 ? text : "the same");
    if (i % 11 === n && older.text !== WITHDRAWN) record.withdraw(older);
    while (outbox.length > (i + n) % 9) record.settle();
  }
}

if (import.meta.main) {
  const [path = "", length = ""] = Deno.args;
  const driver = await stepping(new SqliteStore(path));
  for (let i = stepsOf(driver) + 1;; i++) {
    step(driver, i, Number(length));
    await driver.commit();
    Deno.stdout.writeSync(new TextEncoder().encode(`${i}\n`));
  }
}
