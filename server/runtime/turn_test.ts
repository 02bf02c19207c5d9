import { assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { round, TurnScene } from "../../tests/support/turn_scene.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";

for (const gathers of [true, false]) {
  const which = gathers ? "a store that gathers" : "one that does not";
  Deno.test(`results of one turn are delivered after one commit for all: ${which}`, async () => {
    const scene = new TurnScene(gathers);
    const [a, b] = [scene.result("a"), scene.result("b")];
    scene.ledger.record.receive("x");
    for (const result of [a, b, a, a]) scene.turn.touch(result);
    assertEquals(scene.events, [], "nothing is delivered at once");
    await scene.settled();
    assertEquals(scene.events, ["commit", "1: x |", "a true", "b true"]);
    await round();
    assertEquals(scene.store.commits, 1, "nothing has changed since");
  });
}

Deno.test("a store that gathers commits the changes of several tasks of one turn of the event loop together", async () => {
  const scene = new TurnScene();
  scene.receive("a");
  await Promise.resolve();
  await Promise.resolve();
  scene.receive("b");
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: a b |", "a true", "b true"]);
});

Deno.test("changes that nobody waits for are in the commit at the turn's end, or in an earlier one", async () => {
  const scene = new TurnScene(false);
  for (const text of ["a", "b"]) {
    scene.ledger.record.receive(text);
    scene.turn.touchAtEnd(scene.result(text));
    for (let task = 0; task < 3; task++) await Promise.resolve();
  }
  assertEquals(scene.events, []);
  await until(() => scene.events.length > 0);
  assertEquals(scene.events.splice(0), ["commit", "1: a b |", "a true", "b true"]);
  scene.ledger.record.receive("c");
  scene.turn.touchAtEnd(scene.result("c"));
  scene.receive("d");
  await Promise.resolve();
  assertEquals(scene.events.slice(0, 1), ["commit"], "somebody waits for d");
  await round();
  assertEquals(scene.events, ["commit", "1: a b c d |", "c true", "d true"]);
});

Deno.test("a failing store is tried every 250 ms, even if a commit was also scheduled for the turn's end", async () => {
  const clock = new ManualClock();
  clock.soon = queueMicrotask; // like the real clock's, it runs before the turn's end
  const scene = new TurnScene(false, false, clock);
  scene.fail();
  scene.ledger.record.receive("a");
  scene.turn.touchAtEnd(scene.result("a"));
  scene.receive("b");
  await round(); // the first attempt has failed
  await clock.turn();
  const attempts = () => scene.events.splice(0).filter((event) => event === "commit").length;
  attempts();
  await clock.advance(1000);
  assertEquals(attempts(), 4, "one every 250 ms");
  scene.mend();
  await clock.advance(250);
  assertEquals(scene.events, ["commit", "1: a b |", "works", "a true", "b true"]);
});

Deno.test("without changes there is no commit", async () => {
  const scene = new TurnScene();
  scene.turn.touch(scene.result("a"));
  await until(() => scene.events.length > 0);
  assertEquals(scene.events, ["a true"]);
  scene.turn.whenSafe(() => scene.events.push("at once"));
  assertEquals(scene.events.at(-1), "at once");
});

Deno.test("callers that leave are forgotten, during a commit and while the store fails", async () => {
  const scene = new TurnScene();
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
  const result = (safe: boolean) => safe && never();
  scene.turn.touch(result);
  scene.turn.leave(result);
  assertEquals(scene.turn.waiting, 1, "the result that was asked for");
  scene.store.fails = undefined;
  await scene.settled();
  assertEquals(scene.events.filter((event) => event === "never").length, 1);
  assertEquals([scene.turn.waiting, scene.turn.whenSafe(() => {})], [0, undefined]);
});

Deno.test("changes that a result makes wait for another commit", async () => {
  const scene = new TurnScene();
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

Deno.test("during a commit nothing changes: callers wait until its results are delivered", async () => {
  const scene = new TurnScene();
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

Deno.test("while a store fails nothing is reported as safe; when it works again everything is, once", async () => {
  const scene = new TurnScene();
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

Deno.test("while a failing store is tried again, new results wait until that attempt has failed too", async () => {
  const scene = new TurnScene();
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

Deno.test("a store that fails for a long time is tried again and again, and reported once", async () => {
  const scene = new TurnScene();
  scene.fail();
  scene.receive("a");
  await until(() => scene.events.filter((event) => event === "commit").length === 3);
  assertEquals(scene.events.filter((event) => event.startsWith("failed")), ["failed STORE_FAILED"]);
  scene.mend();
  await scene.settled();
});

Deno.test("new callers do not make a failing store be tried sooner", async () => {
  const scene = new TurnScene();
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

Deno.test("waiting until changes are safe does not need a change", async () => {
  const scene = new TurnScene();
  scene.ledger.record.receive("a");
  await scene.settled();
  assertEquals(scene.events, ["commit", "1: a |"]);
});

for (const how of ["throws", "rejects"]) {
  Deno.test(`a custom store whose commit ${how} counts as failing, and is tried again`, async () => {
    const scene = new TurnScene();
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

Deno.test("close commits what is left, and delivers no more results", async () => {
  const scene = new TurnScene();
  scene.receive("a");
  await scene.turn.close();
  assertEquals(scene.events, ["commit", "1: a |"]);
  scene.receive("b");
  await round();
  assertEquals(scene.events, ["commit", "1: a |"]);
});

Deno.test("changes that come during the last commit are committed too", async () => {
  const scene = new TurnScene();
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  scene.turn.enter(() => scene.ledger.record.receive("b"));
  const closed = scene.turn.close();
  release();
  await closed;
  assertEquals(scene.events.filter((event) => event.startsWith("1")), ["1: a |", "1: a b |"]);
});

Deno.test("close rejects if the store fails, and leaves no timer", async () => {
  const scene = new TurnScene();
  scene.fail();
  scene.receive("a");
  const transfer = scene.writing("w");
  scene.turn.transfer(transfer);
  await until(() => scene.turn.failure);
  const error = await assertRejects(() => scene.turn.close(), LocalError);
  assertEquals([error.code, transfer.ended], ["STORE_FAILED", "no room left"]);
});

Deno.test("messages count as safe only after their commit", async () => {
  const scene = new TurnScene();
  scene.fail();
  scene.receive("text");
  await until(() => scene.turn.failure);
  assertEquals(scene.ledger.record.safe, 0);
  scene.mend();
  await scene.settled();
  assertEquals(scene.ledger.record.safe, 1);
});

const STALL = new LocalError("STORE_FAILED", "it takes long");

Deno.test("a commit that takes long counts as a failure until it ends", async () => {
  const scene = new TurnScene();
  scene.store.stall(STALL);
  assertEquals(scene.turn.failure, undefined, "no commit is under way");
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  for (let i = 0; i < 3; i++) scene.store.stall(STALL);
  assertEquals([scene.turn.failure, scene.events], [STALL, ["commit", "failed STORE_FAILED"]]);
  release();
  await scene.settled();
  assertEquals(scene.turn.failure, undefined);
  assertEquals(scene.events.slice(2), ["1: a |", "works", "a true"]);
});

Deno.test("a commit that takes long and then fails is tried again", async () => {
  const scene = new TurnScene();
  const release = scene.store.hold();
  scene.receive("a");
  await until(() => scene.turn.busy);
  scene.store.stall(STALL);
  scene.fail();
  release();
  await until(() => scene.events.includes("a false"));
  scene.mend();
  await scene.settled();
  assertEquals(scene.events.filter((event) => event.startsWith("failed")).length, 1);
  assertEquals(scene.events.slice(-3), ["1: a |", "works", "a true"]);
});

for (const when of ["before", "after"]) {
  Deno.test(`close does not wait for a commit that takes long, reported ${when} the call`, async () => {
    const scene = new TurnScene();
    const release = scene.store.hold();
    scene.receive("a");
    const transfer = scene.writing("w");
    scene.turn.transfer(transfer);
    await until(() => scene.turn.busy);
    if (when === "before") scene.store.stall(STALL);
    scene.turn.enter(() => scene.events.push("entered before the end"));
    const closed = assertRejects(() => scene.turn.close(), LocalError);
    await round();
    if (when === "after") scene.store.stall(STALL);
    assertEquals([await closed, transfer.ended], [STALL, "it takes long"]);
    scene.turn.enter(() => scene.events.push("entered after the end"));
    release();
    await until(() => !scene.turn.busy);
    assertEquals(scene.events.filter((event) => event === "commit").length, 1);
    assertEquals(scene.events.filter((event) => event.startsWith("entered")), []);
  });
}
