import { assertEquals } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import { Ledger } from "../store/ledger.ts";
import { Callers } from "./callers.ts";

/** A store that answers when the test says so, and the answers that the callers got. */
class Scene {
  readonly asked: PromiseWithResolvers<Ledger>[] = [];
  readonly told: string[] = [];
  readonly callers = new Callers(() => {
    const answer = Promise.withResolvers<Ledger>();
    this.asked.push(answer);
    return answer.promise;
  }, 3);

  ask(id: string, who = id): () => void {
    return this.callers.ask(
      id,
      () => this.told.push(who),
      (error) => this.told.push(`${who}: ${error instanceof LocalError ? error.code : error}`),
    );
  }

  async answer(which: number, id: string): Promise<void> {
    this.asked[which]!.resolve(new Ledger(id, { state: undefined, token: 1 }, new Set()));
    await this.settled();
  }

  settled(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve));
  }
}

Deno.test("callers: all callers that ask for a device at one time share one answer, and the last to leave cleans up", async () => {
  const scene = new Scene();
  const forgets = [scene.ask("a", "first"), scene.ask("a", "second")];
  await scene.answer(0, "a");
  forgets.push(scene.ask("a", "third"));
  assertEquals(scene.told, ["first", "second"], "the third is not called before `ask` returns");
  await scene.settled();
  assertEquals([scene.told.length, scene.asked.length, scene.callers.size], [3, 1, 1]);
  for (const forget of forgets) forget();
  assertEquals(scene.callers.size, 0);
});

Deno.test("callers: a caller that has left is not called back, and the next one gets the pending answer", async () => {
  const scene = new Scene();
  scene.ask("a", "gone")();
  const forget = scene.ask("a", "next");
  await scene.answer(0, "a");
  assertEquals([scene.told, scene.asked.length], [["next"], 1]);
  forget();
  assertEquals(scene.callers.size, 0);
  scene.ask("b", "gone too")();
  await scene.answer(1, "b");
  assertEquals([scene.told.length, scene.callers.size], [1, 0]);
});

Deno.test("callers: a store that does not answer is asked for a limited number of devices, and further callers get an error", async () => {
  const scene = new Scene();
  for (let i = 0; i < 1000; i++) scene.ask(`device ${i}`)();
  await scene.settled();
  assertEquals([scene.callers.size, scene.asked.length], [3, 3]);
  assertEquals(scene.told.at(-1), "device 999: STORE_FAILED");
  await scene.answer(0, "device 0");
  scene.ask("again");
  assertEquals(scene.asked.length, 4);
});

Deno.test("callers: after a failure the store is asked again", async () => {
  const scene = new Scene();
  scene.ask("a");
  scene.asked[0]!.reject(new LocalError("STORE_FAILED", "no disk"));
  await scene.settled();
  const forget = scene.ask("a");
  await scene.answer(1, "a");
  assertEquals(scene.told, ["a: STORE_FAILED", "a"]);
  forget();
  assertEquals(scene.callers.size, 0);
});
