/** Devices of other processes are read together. */
import { assertEquals, assertRejects } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import type { Fleet } from "../store/fleet.ts";
import { DistantReads } from "./distant_reads.ts";

/** A store whose answers come when the test says so. */
class Scene {
  readonly asked: string[][] = [];
  readonly answers: PromiseWithResolvers<Awaited<ReturnType<Fleet["read"]>>>[] = [];
  readonly reads = new DistantReads({
    read: (ids: readonly string[]) => {
      this.asked.push([...ids]);
      const answer = Promise.withResolvers<Awaited<ReturnType<Fleet["read"]>>>();
      this.answers.push(answer);
      return answer.promise;
    },
  } as Fleet);
}

const kept = (text: string) => ({ memos: [["key", text]] as [string, string][] });

Deno.test("reads of one turn share one query, and reads that come while it runs share the next one", async () => {
  const scene = new Scene();
  const first = ["a", "b", "a"].map((id) => scene.reads.read(id));
  await null;
  const second = scene.reads.read("c");
  assertEquals(scene.asked, [["a", "b"]]);
  scene.answers[0]!.resolve(new Map([["a", kept("1")]]));
  assertEquals(await Promise.all(first), [kept("1"), undefined, kept("1")]);
  assertEquals(scene.asked, [["a", "b"], ["c"]]);
  scene.answers[1]!.resolve(new Map());
  assertEquals(await second, undefined);
});

Deno.test("a query that fails rejects only its own reads, and the next query is sent", async () => {
  const scene = new Scene();
  const failing = scene.reads.read("a");
  await null;
  const next = scene.reads.read("b");
  scene.answers[0]!.reject(new LocalError("STORE_FAILED", "no"));
  await assertRejects(() => failing, LocalError, "no");
  await null;
  scene.answers[1]!.resolve(new Map([["b", kept("2")]]));
  assertEquals(await next, kept("2"));
});

Deno.test("reads of very many devices are split into queries of 500; when too many wait, further reads are refused", async () => {
  const scene = new Scene();
  const read = (count: number) => Array.from({ length: count }, (_, i) => scene.reads.read(`${i}`));
  const all = read(10_000);
  await null;
  assertEquals([scene.asked.length, scene.asked[0]!.length], [1, 500]);
  all.push(...read(500));
  const why = await assertRejects(() => scene.reads.read("x"), LocalError);
  assertEquals(why.code, "STORE_FAILED");
  for (let i = 0; i < 21; i++) {
    scene.answers[i]!.resolve(new Map());
    await all[500 * i];
    await null;
  }
  assertEquals((await Promise.all(all)).length, 10_500);
});
