import { assertEquals } from "@std/assert";
import { TurnScene } from "../../tests/support/turn_scene.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";
import { FencedError } from "../store/store.ts";
import type { Transfer } from "./transfer.ts";

Deno.test("a transaction resolves when it is safe, after the results of its commit", async () => {
  const scene = new TurnScene();
  scene.receive("a");
  scene.turn.transfer(scene.writing("w"));
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: a | w", "a true", "w is done"]);
});

Deno.test("a transaction that the store refuses leaves no trace, and the others in the commit succeed", async () => {
  const scene = new TurnScene();
  const [first, bad, last] = ["first", "bad", "last"].map((text) => scene.writing(text));
  scene.store.refuses.set(bad!, new Error("no such table"));
  for (const transfer of [first!, bad!, last!]) scene.turn.transfer(transfer);
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: | first last", "first is done", "last is done"]);
  assertEquals(bad!.ended, "no such table");
  assertEquals(scene.ledger.record.outbox.map(({ seq }) => seq), [0, 1], "without a gap");
});

Deno.test("a transaction that cannot be applied is refused, and the store does not see it", async () => {
  const scene = new TurnScene();
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
  const scene = new TurnScene();
  const bad = scene.writing("bad", scene.device("2"));
  scene.store.refuses.set(bad, new Error("no such table"));
  for (const transfer of [scene.writing("good"), bad]) scene.turn.transfer(transfer);
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: | good", "good is done"]);
});

Deno.test("a transaction that cannot be applied is refused once, even while the store fails", async () => {
  const scene = new TurnScene();
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

Deno.test("transactions are undone while the store fails, and succeed when it works again", async () => {
  const scene = new TurnScene();
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
  const scene = new TurnScene();
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  scene.turn.transfer(scene.writing("w"));
  release();
  await until(() => scene.events.includes("w is done"));
  assertEquals(scene.events, ["commit", "1: a |", "a true", "commit", "1: a | w", "w is done"]);
});

Deno.test("a device that another server has taken is left out of the commit, and all others are committed", async () => {
  const scene = new TurnScene();
  const other = scene.device("2");
  const commit = scene.store.commit.bind(scene.store);
  scene.store.commit = (batch) => {
    const taken = [...batch.changes(new Map())].some(({ id }) => id === "1");
    return taken ? Promise.reject(new FencedError("1")) : commit(batch);
  };
  const transfer = scene.writing("w"); // to the device that was taken
  scene.turn.transfer(transfer);
  scene.ledger.record.receive("a");
  other.record.receive("b");
  scene.turn.touch(scene.result("b"));
  await until(() => other.record.safe === 1);
  assertEquals(scene.events, ["1 is fenced", "commit", "2: b |", "b true"]);
  assertEquals(scene.ledger.record.safe, 0);
  assertEquals(transfer.ended, 'another server has taken device "1"');
});

Deno.test("a transaction for other devices than the fenced one succeeds", async () => {
  const scene = new TurnScene();
  const other = scene.device("2");
  const commit = scene.store.commit.bind(scene.store);
  scene.store.commit = (batch) => {
    const taken = [...batch.changes(new Map())].some(({ id }) => id === "1");
    return taken ? Promise.reject(new FencedError("1")) : commit(batch);
  };
  other.record.receive("b"); // it has changed before the one that was taken
  const [lost, kept] = [scene.writing("lost"), scene.writing("kept", other)];
  scene.turn.transfer(lost);
  scene.turn.transfer(kept);
  await until(() => kept.ended);
  assertEquals(lost.ended, 'another server has taken device "1"');
  assertEquals(scene.events, ["1 is fenced", "commit", "2: b | kept", "kept is done"]);
});

Deno.test("a device that is fenced in the last commit does not prevent the commit of the others", async () => {
  const scene = new TurnScene();
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
