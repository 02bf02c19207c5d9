/** Messages that no application handles are processed several at a time. */
import { assertEquals } from "@std/assert";
import { beginChannels as begin } from "../../tests/support/channel_scene.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Batch } from "../store/store.ts";
import type { Handler } from "./channel.ts";

/** Counts applications' transactions. */
class CountingStore extends MemoryStore {
  works = 0;

  override commit(batch: Batch) {
    this.works += batch.works.length;
    return super.commit(batch);
  }
}

Deno.test("reports that no application handles share a transaction, and handlers see what is safe", async () => {
  const seen: unknown[] = [];
  const store = new CountingStore();
  const target: Handler = (value, { thing }) => {
    seen.push([value, thing.reported("temp")?.value]);
  };
  const { scene, board, thing, told } = await begin({ temp: {}, fan: {}, target }, {}, store);
  await using _ = scene;
  await board.says(
    "=temp 0",
    "=temp 1",
    "=fan 2",
    "=temp 3",
    "=target 20",
    "=temp 4",
    "=what 1",
    "=temp 5",
  );
  const values = told.flatMap((it) => it.event === "reported" ? [it.value] : []);
  assertEquals(values, [0, 1, 2, 3, 20, 4, 5]);
  assertEquals(seen, [[20, 3]]);
  assertEquals([thing.reported("temp")?.value, thing.reported("fan")?.value], [5, 2]);
  assertEquals(board.news(), ["~what unknown"]);
  assertEquals(store.works, 3); // up to the handled one, from there to the unknown one, and the rest
});

Deno.test("after a shared transaction has failed, its messages come again one at a time", async () => {
  /** Refuses two transactions. */
  class RefusingStore extends CountingStore {
    override async commit(batch: Batch) {
      const [work] = batch.works;
      if (!work || this.works >= 2) return await super.commit(batch);
      const refused = new Map([[work, new Error("no")]]);
      await super.commit({ works: batch.works, changes: () => batch.changes(refused) });
      return refused;
    }
  }
  const store = new RefusingStore();
  const { scene, board, thing, told } = await begin({ temp: {}, fan: {} }, {}, store);
  await using _ = scene;
  await board.says("=temp 1", "=fan 2", "=temp 3");
  await scene.platform.advance(1000);
  await board.settle();
  const values = told.flatMap((it) => it.event === "reported" ? [it.value] : []);
  assertEquals(values, [1, 2, 3]);
  assertEquals([thing.reported("temp")?.value, thing.reported("fan")?.value], [3, 2]);
  assertEquals(store.works, 4); // all, the first, the first, the others
});

Deno.test("the description in a boot message applies to the reports after it, however they are grouped", async () => {
  const { scene, board, thing } = await begin({ temp: {} });
  await using _ = scene;
  const own = (max: number) => `{"channels":{"temp":{"kind":"number","min":5,"max":${max}}}}`;
  await board.says(`@kitchen 3 ${own(30)}`, "=temp 85", "=temp 20");
  assertEquals([board.news(), thing.reported("temp")?.value], [["~temp bad_value"], 20]);
  await board.says(`@kitchen 4 ${own(100)}`, "=temp 85");
  assertEquals([board.news(), thing.reported("temp")?.value], [[], 85]);
});
