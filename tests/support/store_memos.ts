/**
 * Tests of memos for every store.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { StoreRig } from "./store_place.ts";

export async function keepsMemos(rig: StoreRig): Promise<void> {
  const driver = await rig.driver();
  const record = await driver.begin("1");
  const memos: [string, string][] = [["a/b", `\0"'\u{1F600}`], ["\ufeffé", ""], [
    "long",
    "x".repeat(65_536),
  ]];
  for (const [key, text] of memos) record.setMemo(key, text);
  (await driver.begin("2")).setMemo("a/b", "of another device");
  await driver.commit();
  const kept = await rig.reopened();
  assertEquals(kept.states(), driver.states());
  assertEquals(kept.record("1").memos, new Map(memos));
  kept.record("1").setMemo("a/b", "changed");
  kept.record("1").setMemo("long", undefined);
  kept.record("1").setMemo("new", "1");
  kept.record("1").receive("in the same commit");
  await kept.commit();
  const changed = await rig.reopened();
  assertEquals(changed.states(), kept.states());
  assertEquals(
    changed.record("1").memos,
    new Map([["a/b", "changed"], ["\ufeffé", ""], ["new", "1"]]),
  );
  assertEquals(changed.record("2").memos, new Map([["a/b", "of another device"]]));
  for (const key of changed.record("1").memos.keys()) changed.record("1").setMemo(key, undefined);
  await changed.commit();
  const none = await rig.reopened();
  assertEquals([none.record("1").memos.size, none.record("2").memos.size], [0, 1]);
  none.ledgers.get("2")!.remove();
  await none.commit();
  await rig.reopened();
  assertEquals(
    (await (await rig.driver()).begin("2")).memos.size,
    0,
    "the memos are removed with their device",
  );
}

/** A memo that is changed in a transaction becomes safe or is undone together with it. */
export async function keepsMemosOfTransactions(rig: StoreRig): Promise<void> {
  const driver = await rig.driver();
  const record = await driver.begin("1");
  record.receive("a");
  record.setMemo("known", "before");
  await driver.commit();
  const good = driver.transact([], driver.processing("1"), driver.noting("1", "known", "after"));
  const bad = [{ sql: "GARBAGE", params: [] }];
  const mayFail = rig.store.database !== undefined;
  if (mayFail) {
    driver.transact(bad, driver.noting("1", "new", "no"), driver.noting("1", "known", undefined));
  }
  const refused = await driver.commit();
  assertEquals([refused.has(good), refused.size], [false, mayFail ? 1 : 0]);
  assertEquals(record.memos, new Map([["known", "after"]]));
  assertEquals((await rig.reopened()).states(), driver.states());
}
