import { assert, assertEquals } from "@std/assert";
import { describeStore } from "../../tests/support/store_conformance.ts";
import { StoreDriver } from "../../tests/support/store_driver.ts";
import { MemoryStore } from "./memory.ts";

describeStore("memory store", () => {
  const store = new MemoryStore();
  return { open: () => store, isLive: true };
});

Deno.test("memory store: a commit copies nothing, and all commits share a promise", async () => {
  const store = new MemoryStore();
  const driver = await StoreDriver.on(store);
  const record = await driver.begin("1");
  record.receive("a");
  await driver.commit();
  const batch = { works: [], changes: () => driver.ledgers.values() };
  assert(store.commit(batch) === store.commit(batch));
  record.receive("b"); // the store sees it without a commit
  assertEquals(await store.list(), [{ id: "1", inbox: 2, outbox: 0 }]);
});

Deno.test("memory store: later changes by a device's former owner do not reach its next owner", async () => {
  const store = new MemoryStore();
  const former = await StoreDriver.on(store);
  (await former.begin("1")).receive("a");
  await former.commit();
  const next = await StoreDriver.on(store);
  former.record("1").receive("b");
  former.record("1").process();
  assertEquals(next.record("1").inbox, ["a"]);
  assertEquals((await StoreDriver.on(store)).record("1").inbox, ["a"]);
});
