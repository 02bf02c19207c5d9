/** Transactions whose statements a store executes ahead of their commit. */
import { assertEquals } from "@std/assert";
import { round, TurnScene } from "../../tests/support/turn_scene.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";
import { FencedError, MOST_EXECUTIONS } from "../store/store.ts";
import type { Transfer } from "./transfer.ts";

/** A turn on a store that executes statements ahead, and holds them. */
class Scene extends TurnScene {
  constructor(isHeld = true) {
    super(true, true);
    this.store.ahead.isHeld = isHeld;
  }

  /** A transaction with a statement, in a lane of its own or in another one's. */
  adds(text: string, lane: object = {}, ledger = this.ledger) {
    const transfer = this.writing(text, ledger, lane);
    this.turn.transfer(transfer);
    return transfer;
  }

  get held() {
    return this.store.ahead.held;
  }

  /** Waits until this many executions are under way. */
  async begun(count: number): Promise<void> {
    await until(() => this.held.length === count, { what: `${count} executions` });
  }

  /** Lets one of the held executions continue. */
  goesOn(index = 0): void {
    this.held.splice(index, 1)[0]!.resolve();
  }

  /** The events since the last call. */
  get told(): string[] {
    return this.events.splice(0);
  }
}

const ended = (transfer: Transfer & { ended: string | undefined }) =>
  until(() => transfer.ended, { what: "the transaction's end" });

Deno.test("while statements are executed commits continue, without anything of their transaction", async () => {
  const scene = new Scene();
  const slow = scene.adds("slow");
  await scene.begun(1);
  scene.receive("a");
  await scene.settled();
  assertEquals(scene.told, ["execute slow", "commit", "1: a |", "a true"]);
  scene.goesOn();
  await ended(slow);
  assertEquals(scene.told, ["commit slow", "1: a | slow", "slow is done"]);
});

Deno.test("transactions of one turn of the event loop are executed together, and one that the store refuses is rejected alone", async () => {
  const scene = new Scene(false);
  const [a, bad] = [scene.writing("a", scene.ledger, {}), scene.writing("bad", scene.ledger, {})];
  scene.store.refuses.set(bad, new Error("no such table"));
  for (const transfer of [a, bad]) scene.turn.transfer(transfer);
  await ended(a);
  assertEquals(scene.told, ["execute a bad", "commit a", "1: | a", "a is done"]);
  assertEquals(bad.ended, "no such table");
});

Deno.test("transactions in one lane keep their order, even one without statements; those in other lanes may overtake", async () => {
  const scene = new Scene();
  const lane = {};
  const first = scene.adds("first", lane);
  await scene.begun(1);
  const second = { ...scene.writing("second"), lane };
  scene.turn.transfer(second);
  const other = scene.adds("other");
  await scene.begun(2);
  scene.goesOn(1);
  await ended(other);
  assertEquals(
    scene.told,
    ["execute first", "execute other", "commit other", "1: | other"]
      .concat("other is done"),
  );
  scene.goesOn();
  await ended(first);
  await scene.begun(1);
  scene.goesOn();
  await ended(second);
  assertEquals(scene.told, [
    ...["commit first", "1: | other first", "first is done"],
    ...["execute second", "commit second", "1: | other first second", "second is done"],
  ]);
});

Deno.test("a slow lane holds up others once: then it is executed alone, and one execution is kept free for the others", async () => {
  const scene = new Scene();
  const lanes = Array.from({ length: MOST_EXECUTIONS + 1 }, () => ({}));
  const all = lanes.map((lane, i) => scene.adds(`${i}`, lane));
  await scene.begun(1);
  await new Promise((resolve) => setTimeout(resolve, 300)); // long enough to count as slow
  scene.goesOn();
  for (const transfer of all) await ended(transfer);
  assertEquals(scene.told[0], "execute 0 1 2 3 4");
  const again = lanes.map((lane, i) => scene.adds(`again ${i}`, lane));
  await scene.begun(MOST_EXECUTIONS - 1);
  const other = scene.adds("other");
  await scene.begun(MOST_EXECUTIONS);
  scene.goesOn(MOST_EXECUTIONS - 1);
  await ended(other);
  assertEquals(scene.told.slice(0, 5), [
    ...["execute again 0", "execute again 1", "execute again 2", "execute other", "commit other"],
  ]);
  scene.store.ahead.isHeld = false;
  for (const held of scene.held) held.resolve();
  for (const transfer of again) await ended(transfer);
});

Deno.test("when a device is lost while statements are executed, only its own transaction fails", async () => {
  const scene = new Scene();
  const [lost, other] = [scene.adds("lost"), scene.adds("other", {}, scene.device("2"))];
  await scene.begun(1);
  scene.turn.lose(new FencedError("1"));
  assertEquals(lost.ended, new FencedError("1").message);
  scene.goesOn();
  await scene.begun(1);
  scene.goesOn();
  await ended(other);
  assertEquals(scene.told, [
    ...["execute lost other", "1 is fenced", "give up lost other"],
    ...["execute other", "commit other", "2: | other", "other is done"],
  ]);
});

Deno.test("when a device is lost in a commit after statements were executed, only its own transaction fails", async () => {
  const scene = new Scene();
  const [lost, other] = [scene.adds("lost"), scene.adds("other", {}, scene.device("2"))];
  await scene.begun(1);
  const goOn = scene.store.hold(); // a commit is under way meanwhile
  scene.ledger.record.receive("a");
  scene.turn.touch(() => {});
  await until(() => scene.turn.busy);
  scene.goesOn();
  await round();
  scene.store.fails = new FencedError("1");
  goOn();
  await until(() => lost.ended);
  scene.store.fails = undefined;
  await scene.begun(1);
  scene.goesOn();
  await ended(other);
  assertEquals(scene.told, [
    ...["execute lost other", "commit", "give up lost other", "1 is fenced"],
    ...["execute other", "commit other", "2: | other", "other is done"],
  ]);
});

Deno.test("when a transaction cannot be applied after it was executed, its group is undone, and the others are executed again", async () => {
  const scene = new Scene(false);
  const full = {
    ...scene.writing("full", scene.ledger, {}),
    apply() {
      throw new LocalError("OUTBOX_FULL", "no room");
    },
  };
  const before = scene.writing("before", scene.ledger, {});
  for (const transfer of [before, full]) scene.turn.transfer(transfer);
  await ended(before);
  assertEquals(full.ended, "no room");
  assertEquals(scene.told.filter((it) => it !== "commit"), [
    ...["execute before full", "give up before full"],
    ...["execute before", "commit before", "1: | before", "before is done"],
  ]);
});

Deno.test("a commit that fails with executed statements is made without them, and they are executed again", async () => {
  const scene = new Scene();
  const { store } = scene;
  const transfer = scene.adds("w");
  await scene.begun(1);
  const { commit } = store;
  store.commit = () => {
    store.commit = commit;
    return Promise.reject(new LocalError("STORE_FAILED", "its connection is lost"));
  };
  scene.receive("a");
  scene.goesOn();
  await scene.settled();
  assertEquals(scene.turn.failure, undefined, "writes are not refused");
  await scene.begun(1);
  scene.goesOn();
  await ended(transfer);
  assertEquals(scene.told, [
    ...["execute w", "commit", "1: a |", "a true"],
    ...["execute w", "commit w", "1: a | w", "w is done"],
  ]);
});

Deno.test("a store that cannot execute statements is reported as failing once; links continue, and nothing is refused", async () => {
  const scene = new Scene(false);
  scene.store.ahead.fails = new Error("no connections left");
  const transfer = scene.adds("w");
  await until(() => scene.events.filter((it) => it === "execute w").length === 3);
  scene.receive("a");
  await scene.settled();
  assertEquals([scene.turn.failure, transfer.ended], [undefined, undefined]);
  delete scene.store.ahead.fails;
  await ended(transfer);
  const said = scene.told.filter((it) => it.startsWith("failed") || it === "works");
  assertEquals(said, ["failed STORE_FAILED", "works"]);
});

Deno.test("transactions that cannot be executed, however many, keep no other slow one from it", async () => {
  const scene = new Scene(false);
  const { store } = scene;
  const bad = Array.from(
    { length: MOST_EXECUTIONS },
    (_, i) => scene.writing(`bad ${i}`, scene.ledger, {}),
  );
  const execute = store.execute.bind(store);
  store.execute = (works) => {
    const isBad = bad.some((it) => works.includes(it));
    return isBad ? Promise.reject(new Error("out of memory")) : execute(works);
  };
  const lane = {};
  const [good, next] = [1, 2].map((n) => scene.writing(`good ${n}`, scene.ledger, lane));
  for (const transfer of [...bad, good!, next!]) scene.turn.transfer(transfer);
  await ended(next!);
  assertEquals(scene.events.filter((it) => it.endsWith("is done")), [
    "good 1 is done",
    "good 2 is done",
  ]);
  store.execute = execute;
  for (const transfer of bad) await ended(transfer);
});

Deno.test("close commits executed transactions; the others are rejected, and given up", async () => {
  const scene = new Scene();
  const ready = scene.adds("ready");
  await scene.begun(1);
  const under = scene.adds("under way");
  await scene.begun(2);
  const goOn = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  scene.goesOn();
  await round();
  const lane = under.lane!;
  const waiting = scene.adds("waiting", lane);
  const closed = scene.turn.close();
  assertEquals([under.ended, waiting.ended], Array(2).fill("the server was closed"));
  goOn();
  await closed;
  assertEquals(ready.ended, "done");
  scene.goesOn();
  await round();
  assertEquals(scene.told.slice(-3), ["1: a | ready", "ready is done", "give up under way"]);
  const late = scene.adds("late");
  assertEquals(late.ended, "the server was closed");
});
