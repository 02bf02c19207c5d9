import { assert, assertEquals, assertThrows } from "@std/assert";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";
import { type DeviceRecord, MemoryStore, type Store } from "../store/store.ts";
import { Turn } from "./turn.ts";

/** A store that counts, and fails when told to. */
class Counting implements Store {
  commits = 0;
  fails: Error | undefined;
  #records = new MemoryStore();

  /** @param events What the test wants to see in order. */
  constructor(readonly events: string[], readonly gathers: boolean) {}

  get ids(): Iterable<string> {
    return this.#records.ids;
  }

  get size(): number {
    return this.#records.size;
  }

  get(id: string): DeviceRecord | undefined {
    return this.#records.get(id);
  }

  create(id: string): DeviceRecord {
    return this.#records.create(id);
  }

  commit(): void {
    if (this.fails) throw this.fails;
    this.commits++;
    this.events.push("commit");
    this.#records.commit();
  }

  close(): void {}
}

class Scene {
  readonly events: string[] = [];
  readonly store: Counting;
  readonly turn: Turn;

  constructor(gathers = true) {
    this.store = new Counting(this.events, gathers);
    this.turn = new Turn(
      this.store,
      (error) => this.events.push(error ? `failed ${error.code}` : "works"),
    );
  }

  result(name: string): (safe: boolean) => void {
    return (safe) => this.events.push(`${name} ${safe}`);
  }

  fail(): void {
    this.store.fails = new LocalError("STORE_FAILED", "no room left");
  }

  mend(): void {
    this.store.fails = undefined;
  }
}

/** The event loop has gone round. */
function round(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

for (const gathers of [true, false]) {
  const which = gathers ? "a store that gathers" : "one that does not";
  Deno.test(`results come out after one commit for all: ${which}`, async () => {
    const scene = new Scene(gathers);
    const [a, b] = [scene.result("a"), scene.result("b")];
    for (const result of [a, b, a, a]) scene.turn.touch(result);
    assertEquals(scene.events, [], "nothing comes out at once");
    await scene.turn.settled();
    assertEquals(scene.events, ["commit", "a true", "b true"]);
    await round();
    assertEquals(scene.store.commits, 1, "nothing has changed since");
  });
}

Deno.test("a store that gathers takes what several tasks of one turn of the event loop bring", async () => {
  const scene = new Scene();
  scene.turn.touch(scene.result("a"));
  await Promise.resolve();
  await Promise.resolve();
  scene.turn.touch(scene.result("b"));
  await scene.turn.settled();
  assertEquals(scene.events, ["commit", "a true", "b true"]);
});

Deno.test("what a result changes waits for a commit of its own", async () => {
  const scene = new Scene();
  let rounds = 0;
  const again = (safe: boolean) => {
    scene.events.push(`again ${safe}`);
    if (++rounds < 3) scene.turn.touch(again);
  };
  scene.turn.touch(again);
  await until(() => rounds === 3);
  assertEquals(scene.events, [
    "commit",
    "again true",
    "commit",
    "again true",
    "commit",
    "again true",
  ]);
});

Deno.test("while a store fails nothing comes out as safe; when it works again all does, once", async () => {
  const scene = new Scene();
  scene.fail();
  scene.turn.touch(scene.result("a"));
  await until(() => scene.turn.failure);
  assertEquals(scene.turn.failure?.code, "STORE_FAILED");
  assertEquals(scene.events, ["failed STORE_FAILED", "a false"]);
  scene.turn.touch(scene.result("b"));
  assertEquals(scene.events.at(-1), "b false", "at once: keepalives must go on");
  let settled = false;
  const waits = scene.turn.settled().then(() => settled = true);
  await round();
  assertEquals(settled, false);
  scene.mend();
  await waits;
  assertEquals(scene.turn.failure, undefined);
  const after = scene.events.slice(scene.events.indexOf("commit"));
  assertEquals(after, ["commit", "works", "a true", "b true"]);
  assertEquals(scene.events.filter((event) => event.startsWith("failed")).length, 1);
});

Deno.test("a store that fails for long is tried again and again, and said once", async () => {
  const scene = new Scene();
  let tries = 0;
  const commit = scene.store.commit.bind(scene.store);
  scene.store.commit = () => {
    tries++;
    commit();
  };
  scene.fail();
  scene.turn.touch(() => {});
  await until(() => tries === 3);
  assertEquals(scene.events, ["failed STORE_FAILED"]);
  scene.mend();
  await scene.turn.settled();
});

Deno.test("what is left is committed when the end comes, and nothing comes out any more", async () => {
  const scene = new Scene();
  scene.turn.touch(scene.result("a"));
  scene.turn.close();
  assertEquals(scene.events, ["commit"]);
  scene.turn.touch(scene.result("b"));
  await round();
  assertEquals(scene.events, ["commit"]);
});

Deno.test("a store that fails in the end is said, and leaves no timer", async () => {
  const scene = new Scene();
  scene.fail();
  scene.turn.touch(() => {});
  await until(() => scene.turn.failure);
  const error = assertThrows(() => scene.turn.close(), LocalError);
  assertEquals(error.code, "STORE_FAILED");
});

Deno.test("messages are shown only when they are safe", async () => {
  const scene = new Scene();
  const record = scene.store.create("1");
  scene.fail();
  record.receive("text");
  scene.turn.touch(() => {});
  await until(() => scene.turn.failure);
  assertEquals(record.safe, 0);
  scene.mend();
  await scene.turn.settled();
  assert(record.safe === 1);
});
