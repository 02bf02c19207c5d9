import { assertEquals, assertRejects } from "@std/assert";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";
import { Ledger } from "../store/ledger.ts";
import {
  type Acquired,
  type Batch,
  FencedError,
  type KnownDevice,
  type Store,
  type Work,
} from "../store/store.ts";
import { nodePlatform } from "../transport/node.ts";
import { type Transfer, Turn } from "./turn.ts";

/** A store that says what it is given, takes as long as it is told to, and fails when it is told to. */
class Telling implements Store {
  commits = 0;
  fails: Error | undefined;
  /** Works that it refuses, with the reason. */
  readonly refuses = new Map<Work, unknown>();
  #held: PromiseWithResolvers<void> | undefined;

  /** @param events What the test wants to see in order. */
  constructor(readonly events: string[], readonly gathers: boolean) {}

  list(): Promise<KnownDevice[]> {
    return Promise.resolve([]);
  }

  acquire(): Promise<Acquired> {
    return Promise.resolve({ state: undefined, token: 1 });
  }

  /** Commits take until the result is called. */
  hold(): () => void {
    const held = this.#held = Promise.withResolvers<void>();
    return () => {
      this.#held = undefined;
      held.resolve();
    };
  }

  async commit({ works, changes }: Batch): Promise<ReadonlyMap<Work, unknown>> {
    this.events.push("commit");
    await this.#held?.promise;
    if (this.fails) throw this.fails;
    this.commits++;
    const refused = new Map([...this.refuses].filter(([work]) => works.includes(work)));
    for (const { id, state: { inbox, outbox } } of changes(refused)) {
      this.events.push(`${id}: ${[...inbox, "|", ...outbox.map(({ text }) => text)].join(" ")}`);
    }
    return refused;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class Scene {
  readonly events: string[] = [];
  readonly store: Telling;
  readonly turn: Turn;
  readonly ledger: Ledger;

  constructor(gathers = true) {
    this.store = new Telling(this.events, gathers);
    this.turn = new Turn(this.store, nodePlatform, {
      storeFails: (error) => void this.events.push(error ? `failed ${error.code}` : "works"),
      fenced: ({ device }) => void this.events.push(`${device} is fenced`),
    });
    this.ledger = this.device("1");
  }

  device(id: string): Ledger {
    return new Ledger(id, { state: undefined, token: 1 }, this.turn.changed);
  }

  result(name: string): (safe: boolean) => void {
    return (safe) => this.events.push(`${name} ${safe}`);
  }

  /** A message from the device, and a result that waits for it. */
  receive(text: string): void {
    this.ledger.record.receive(text);
    this.turn.touch(this.result(text));
  }

  settled(): Promise<void> {
    return new Promise((resolve) => this.turn.whenSafe(resolve));
  }

  fail(): void {
    this.store.fails = new LocalError("STORE_FAILED", "no room left");
  }

  mend(): void {
    this.store.fails = undefined;
  }

  /** A transaction that writes to the device, or to another one. */
  writing(text: string, ledger = this.ledger): Transfer & { ended: string | undefined } {
    const { events } = this;
    const { record } = ledger;
    return {
      statements: [],
      changes: (device) => device === ledger.id,
      ended: undefined,
      apply: () => void record.write(text, { overtakes: false, qos: true }, 0),
      undo: () => record.unwrite(),
      done() {
        events.push(`${text} is done`);
        this.ended = "done";
      },
      failed(error) {
        this.ended = (error as Error).message;
      },
    };
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
    scene.ledger.record.receive("x");
    for (const result of [a, b, a, a]) scene.turn.touch(result);
    assertEquals(scene.events, [], "nothing comes out at once");
    await scene.settled();
    assertEquals(scene.events, ["commit", "1: x |", "a true", "b true"]);
    await round();
    assertEquals(scene.store.commits, 1, "nothing has changed since");
  });
}

Deno.test("a store that gathers takes what several tasks of one turn of the event loop bring", async () => {
  const scene = new Scene();
  scene.receive("a");
  await Promise.resolve();
  await Promise.resolve();
  scene.receive("b");
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: a b |", "a true", "b true"]);
});

Deno.test("where nothing has changed no commit is made", async () => {
  const scene = new Scene();
  scene.turn.touch(scene.result("a"));
  await until(() => scene.events.length > 0);
  assertEquals(scene.events, ["a true"]);
  scene.turn.whenSafe(() => scene.events.push("at once"));
  assertEquals(scene.events.at(-1), "at once");
});

Deno.test("who has gone leaves nothing behind, while a commit is under way and while the store fails", async () => {
  const scene = new Scene();
  const never = () => scene.events.push("never");
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  const before = scene.turn.waiting;
  for (const wait of [scene.turn.enter, scene.turn.whenSafe]) {
    const forget = wait.call(scene.turn, never)!;
    assertEquals(scene.turn.waiting, before + 1);
    forget();
    assertEquals(scene.turn.waiting, before);
  }
  for (let i = 0; i < 100; i++) scene.turn.enter(never);
  assertEquals(scene.turn.waiting, before + 1, "the same one is called once");
  scene.store.fails = new LocalError("STORE_FAILED", "full");
  release();
  await until(() => scene.turn.failure);
  for (let i = 0; i < 100; i++) scene.turn.whenSafe(never)!();
  assertEquals(scene.turn.waiting, 1, "the result that was asked for");
  scene.store.fails = undefined;
  await scene.settled();
  assertEquals(scene.events.filter((event) => event === "never").length, 1);
  assertEquals([scene.turn.waiting, scene.turn.whenSafe(() => {})], [0, undefined]);
});

Deno.test("what a result changes waits for a commit of its own", async () => {
  const scene = new Scene();
  let rounds = 0;
  const again = (safe: boolean) => {
    scene.events.push(`again ${safe}`);
    if (++rounds === 3) return;
    scene.ledger.record.receive("x");
    scene.turn.touch(again);
  };
  scene.ledger.record.receive("x");
  scene.turn.touch(again);
  await until(() => rounds === 3);
  const commits = scene.events.filter((event) => event === "commit" || event === "again true");
  assertEquals(commits, ["commit", "again true", "commit", "again true", "commit", "again true"]);
});

Deno.test("while a commit is under way nothing changes: who wants to waits until its results are out", async () => {
  const scene = new Scene();
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  scene.turn.enter(() => scene.receive("b"));
  scene.turn.whenSafe(() => scene.events.push("all before is safe"));
  assertEquals(scene.ledger.record.inbox, ["a"]);
  assertEquals(scene.turn.awaits(() => {}), false);
  release();
  await until(() => scene.store.commits === 2);
  await scene.settled();
  assertEquals(scene.events, [
    "commit",
    "1: a |",
    "a true",
    "all before is safe",
    "commit",
    "1: a b |",
    "b true",
  ]);
});

Deno.test("while a store fails nothing comes out as safe; when it works again all does, once", async () => {
  const scene = new Scene();
  scene.fail();
  scene.receive("a");
  await until(() => scene.turn.failure);
  assertEquals(scene.turn.failure?.code, "STORE_FAILED");
  assertEquals(scene.events, ["commit", "failed STORE_FAILED", "a false"]);
  scene.receive("b");
  assertEquals(scene.events.at(-1), "b false", "at once: keepalives must go on");
  let settled = false;
  const waits = scene.settled().then(() => settled = true);
  await round();
  assertEquals(settled, false);
  scene.mend();
  await waits;
  assertEquals(scene.turn.failure, undefined);
  const after = scene.events.slice(scene.events.indexOf("1: a b |"));
  assertEquals(after, ["1: a b |", "works", "a true", "b true"]);
  assertEquals(scene.events.filter((event) => event.startsWith("failed")).length, 1);
});

Deno.test("while a failing store is tried again, whoever comes is told when that has failed, too", async () => {
  const scene = new Scene();
  scene.fail();
  scene.receive("a");
  await until(() => scene.turn.failure);
  const release = scene.store.hold();
  await until(() => scene.turn.busy);
  scene.turn.touch(scene.result("b"));
  assertEquals(scene.events.includes("b false"), false, "it would change what is being committed");
  release();
  await until(() => scene.events.includes("b false"));
  scene.mend();
  await scene.turn.close();
});

Deno.test("a store that fails for long is tried again and again, and said once", async () => {
  const scene = new Scene();
  scene.fail();
  scene.receive("a");
  await until(() => scene.events.filter((event) => event === "commit").length === 3);
  assertEquals(scene.events.filter((event) => event.startsWith("failed")), ["failed STORE_FAILED"]);
  scene.mend();
  await scene.settled();
});

Deno.test("a store that fails is tried no sooner because somebody comes", async () => {
  const scene = new Scene();
  scene.fail();
  scene.receive("a");
  await until(() => scene.turn.failure);
  scene.turn.transfer(scene.writing("w"));
  scene.turn.whenSafe(() => {});
  await round();
  assertEquals(scene.events.filter((event) => event === "commit").length, 1);
  scene.mend();
  await scene.settled();
});

Deno.test("whoever waits until a change is safe need not say that there is one", async () => {
  const scene = new Scene();
  scene.ledger.record.receive("a");
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: a |"]);
});

for (const how of ["throws", "rejects"]) {
  Deno.test(`a store of somebody's own that ${how} with anything fails, and is tried again`, async () => {
    const scene = new Scene();
    const commit = scene.store.commit.bind(scene.store);
    scene.store.commit = () => {
      if (how === "throws") throw new TypeError("x is undefined");
      return Promise.reject(new TypeError("x is undefined"));
    };
    scene.receive("a");
    await until(() => scene.turn.failure);
    assertEquals(scene.turn.failure!.code, "STORE_FAILED");
    assertEquals(scene.turn.failure!.message, "the store has failed: x is undefined");
    scene.store.commit = commit;
    await scene.settled();
    assertEquals(scene.ledger.record.safe, 1);
  });
}

Deno.test("what is left is committed when the end comes, and nothing comes out any more", async () => {
  const scene = new Scene();
  scene.receive("a");
  await scene.turn.close();
  assertEquals(scene.events, ["commit", "1: a |"]);
  scene.receive("b");
  await round();
  assertEquals(scene.events, ["commit", "1: a |"]);
});

Deno.test("what came while the last commit was under way is committed too", async () => {
  const scene = new Scene();
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  scene.turn.enter(() => scene.ledger.record.receive("b"));
  const closed = scene.turn.close();
  release();
  await closed;
  assertEquals(scene.events.filter((event) => event.startsWith("1")), ["1: a |", "1: a b |"]);
});

Deno.test("a store that fails in the end is said, and leaves no timer", async () => {
  const scene = new Scene();
  scene.fail();
  scene.receive("a");
  const transfer = scene.writing("w");
  scene.turn.transfer(transfer);
  await until(() => scene.turn.failure);
  const error = await assertRejects(() => scene.turn.close(), LocalError);
  assertEquals([error.code, transfer.ended], ["STORE_FAILED", "no room left"]);
});

Deno.test("messages are shown only when they are safe", async () => {
  const scene = new Scene();
  scene.fail();
  scene.receive("text");
  await until(() => scene.turn.failure);
  assertEquals(scene.ledger.record.safe, 0);
  scene.mend();
  await scene.settled();
  assertEquals(scene.ledger.record.safe, 1);
});

Deno.test("a transaction is done when it is safe, and after the results of its commit", async () => {
  const scene = new Scene();
  scene.receive("a");
  scene.turn.transfer(scene.writing("w"));
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: a | w", "a true", "w is done"]);
});

Deno.test("a transaction that the store refuses leaves no trace, and those around it count", async () => {
  const scene = new Scene();
  const [first, bad, last] = ["first", "bad", "last"].map((text) => scene.writing(text));
  scene.store.refuses.set(bad!, new Error("no such table"));
  for (const transfer of [first!, bad!, last!]) scene.turn.transfer(transfer);
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: | first last", "first is done", "last is done"]);
  assertEquals(bad!.ended, "no such table");
  assertEquals(scene.ledger.record.outbox.map(({ seq }) => seq), [0, 1], "without a gap");
});

Deno.test("a transaction that cannot be applied is refused, and the store does not see it", async () => {
  const scene = new Scene();
  const full: Transfer & { ended?: unknown } = {
    ...scene.writing("full"),
    apply() {
      throw new LocalError("OUTBOX_FULL", "no room");
    },
    failed: (error) => full.ended = error,
  };
  scene.turn.transfer(full);
  scene.turn.transfer(scene.writing("w"));
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: | w", "w is done"]);
  assertEquals((full.ended as LocalError).code, "OUTBOX_FULL");
});

Deno.test("a device whose only transaction is refused has not changed", async () => {
  const scene = new Scene();
  const bad = scene.writing("bad", scene.device("2"));
  scene.store.refuses.set(bad, new Error("no such table"));
  for (const transfer of [scene.writing("good"), bad]) scene.turn.transfer(transfer);
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: | good", "good is done"]);
});

Deno.test("a transaction that cannot be applied is refused while the store fails, too, once", async () => {
  const scene = new Scene();
  const refusals: unknown[] = [];
  const full: Transfer = {
    ...scene.writing("full"),
    apply() {
      throw new LocalError("OUTBOX_FULL", "no room");
    },
    failed: ({ code }: LocalError) => refusals.push(code),
  };
  const waits = scene.writing("w");
  scene.fail();
  for (const transfer of [full, waits]) scene.turn.transfer(transfer);
  await until(() => scene.turn.failure);
  assertEquals([refusals, waits.ended], [["OUTBOX_FULL"], undefined]);
  scene.mend();
  await until(() => waits.ended);
  assertEquals([refusals, waits.ended], [["OUTBOX_FULL"], "done"]);
});

Deno.test("transactions wait for a store that fails, as if they had not been tried", async () => {
  const scene = new Scene();
  const transfer = scene.writing("w");
  scene.fail();
  scene.turn.transfer(transfer);
  await until(() => scene.turn.failure);
  assertEquals([scene.ledger.record.outbox.length, transfer.ended], [0, undefined]);
  scene.mend();
  await until(() => transfer.ended);
  assertEquals(transfer.ended, "done");
  assertEquals(scene.ledger.record.outbox.map(({ seq, text }) => [seq, text]), [[0, "w"]]);
});

Deno.test("a transaction that comes while a commit is under way is in the next one", async () => {
  const scene = new Scene();
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  scene.turn.transfer(scene.writing("w"));
  release();
  await until(() => scene.events.includes("w is done"));
  assertEquals(scene.events, ["commit", "1: a |", "a true", "commit", "1: a | w", "w is done"]);
});

Deno.test("a device that somebody else has taken charge of is left out, and all others go on", async () => {
  const scene = new Scene();
  const other = scene.device("2");
  const commit = scene.store.commit.bind(scene.store);
  scene.store.commit = (batch) => {
    const taken = [...batch.changes(new Map())].some(({ id }) => id === "1");
    return taken ? Promise.reject(new FencedError("1")) : commit(batch);
  };
  const transfer = scene.writing("w"); // to the device that is gone
  scene.turn.transfer(transfer);
  scene.ledger.record.receive("a");
  other.record.receive("b");
  scene.turn.touch(scene.result("b"));
  await until(() => other.record.safe === 1);
  assertEquals(scene.events, ["1 is fenced", "commit", "2: b |", "b true"]);
  assertEquals(scene.ledger.record.safe, 0);
  assertEquals(transfer.ended, 'somebody else has taken charge of device "1"');
});

Deno.test("a transaction for others than the device that is fenced goes on, too", async () => {
  const scene = new Scene();
  const other = scene.device("2");
  const commit = scene.store.commit.bind(scene.store);
  scene.store.commit = (batch) => {
    const taken = [...batch.changes(new Map())].some(({ id }) => id === "1");
    return taken ? Promise.reject(new FencedError("1")) : commit(batch);
  };
  other.record.receive("b"); // it has changed before the one that is gone
  const [lost, kept] = [scene.writing("lost"), scene.writing("kept", other)];
  scene.turn.transfer(lost);
  scene.turn.transfer(kept);
  await until(() => kept.ended);
  assertEquals(lost.ended, 'somebody else has taken charge of device "1"');
  assertEquals(scene.events, ["1 is fenced", "commit", "2: b | kept", "kept is done"]);
});

Deno.test("a device that is fenced at the very end does not keep the others from being committed", async () => {
  const scene = new Scene();
  const commit = scene.store.commit.bind(scene.store);
  scene.store.commit = () => {
    scene.store.commit = commit;
    return Promise.reject(new FencedError("1"));
  };
  scene.ledger.record.receive("a");
  scene.device("2").record.receive("b");
  await scene.turn.close();
  assertEquals(scene.events, ["1 is fenced", "commit", "2: b |"]);
});
