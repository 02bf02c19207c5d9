import { assert, assertEquals, assertMatch } from "@std/assert";
import { ServingRig, TIMEOUT } from "../../tests/support/serving_rig.ts";

Deno.test("whatever the network fails with, it ends the one connection and nothing else", async () => {
  const errors = [
    new Error("Connection reset by peer"),
    // What a board that lost its WiFi comes to, after a while.
    new Error("No route to host (os error 113)"),
    new Error("No buffer space available (os error 105)"),
  ];
  for (const error of errors) {
    const scene = new ServingRig();
    scene.socket.fails(error);
    await scene.clock.turn();
    const [reason] = scene.ended;
    assertEquals([reason?.code, reason?.message], ["LOST", error.message]);
    assertEquals([scene.socket.closed, scene.clock.timers], [true, 0]);
  }
});

Deno.test("bytes behind the greeting are the first that the session gets", async () => {
  const scene = new ServingRig({}, "00first\n01sec");
  scene.socket.gives("ond\n");
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["first", "second"]);
});

Deno.test("while a commit is under way bytes wait, and nothing is acknowledged before it is safe", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  const release = scene.store.hold();
  scene.socket.gives("00first\n");
  await scene.clock.turn();
  assert(scene.turn.busy);
  scene.socket.gives("01second\n");
  scene.socket.gives("02third\n");
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["first"]);
  assertEquals([scene.socket.written, scene.socket.paused], ["\n", false], "it takes a moment");
  release();
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["first", "second", "third"]);
  assertEquals([scene.socket.written, scene.socket.paused], ["\n00\n01\n02\n", false]);
});

Deno.test("a peer that says more than a little during a commit is slowed down", async () => {
  const scene = new ServingRig({ inbox: 1e6, queueText: 1e6 });
  await scene.clock.turn();
  const release = scene.store.hold();
  scene.socket.gives("00first\n");
  await scene.clock.turn();
  let sent = 1;
  for (; sent < 30 && !scene.socket.paused; sent++) {
    scene.socket.gives(`01${"x".repeat(1000)}${sent}\n`);
  }
  assert(sent < 20, `${sent} messages of a kilobyte`);
  release();
  await scene.clock.turn();
  assertEquals([scene.session.record.inbox.length, scene.socket.paused], [sent, false]);
});

Deno.test("what came before the end of a connection counts, also while a commit is under way", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  const release = scene.store.hold();
  scene.socket.gives("00first\n");
  await scene.clock.turn();
  scene.socket.gives("01second\n");
  scene.socket.fails(new Error("Connection reset by peer"));
  await scene.clock.turn();
  assertEquals(scene.codes, []);
  release();
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["first", "second"]);
  assertEquals(scene.codes, ["LOST"]);
});

Deno.test("keepalives go out while a commit is under way, and nothing else", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.socket.gives("\n");
  const release = scene.store.hold();
  scene.write("text");
  await scene.clock.advance(TIMEOUT);
  assert(scene.turn.busy);
  assertMatch(scene.socket.written, /^\n{4,5}$/, "every quarter of the timeout, or a tick later");
  assertEquals(scene.codes, [], "what we do not read we cannot hear");
  release();
  await scene.clock.turn();
  assert(scene.socket.written.endsWith("\n00text\n"));
});

Deno.test("a peer that says nothing is noticed, though one commit follows the other", async () => {
  const scene = new ServingRig({ outbox: 1e6 });
  await scene.clock.turn();
  for (let time = 0; time < 1.1 * TIMEOUT; time += TIMEOUT / 40) {
    assertEquals(scene.codes, []);
    const release = scene.store.hold();
    scene.write("text");
    await scene.clock.turn();
    assert(scene.turn.busy);
    await scene.clock.advance(TIMEOUT / 40);
    release();
    await scene.clock.turn();
    if (scene.ended.length > 0) break;
  }
  assertEquals(scene.codes, ["SILENT"]);
});

Deno.test("reading goes on as soon as the socket takes again what waited for it", async () => {
  const scene = new ServingRig({ inbox: 1e6 });
  await scene.clock.turn();
  scene.socket.takesNothing();
  let sent = 0;
  // Many acks, none of which can be sent.
  for (; scene.session.wantsInput; sent++) {
    scene.socket.gives(`${(sent % 255 + 1).toString(16).padStart(2, "0")}message ${sent}\n`);
    if (sent % 500 === 0) await scene.clock.turn();
  }
  scene.socket.gives("00the last\n");
  assert(scene.socket.paused);
  scene.socket.takesAgain();
  await scene.clock.turn();
  assert(scene.socket.written.endsWith("\n00\n"), "the last message's ack");
  assertEquals([scene.session.wantsInput, scene.socket.paused], [true, false]);
});

Deno.test("nothing is written while the socket has not taken what was written before", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.socket.gives("\n");
  scene.socket.takesNothing();
  scene.write("first");
  await scene.clock.turn();
  const { written } = scene.socket;
  scene.socket.gives("00from the device\n");
  await scene.clock.advance(TIMEOUT / 2);
  assertEquals(scene.socket.written, written);
  scene.socket.takesAgain();
  await scene.clock.turn();
  assertEquals(scene.socket.written, `${written}00\n`);
});

Deno.test("the first keepalive lets messages out at once, further ones are heard and cause nothing", async () => {
  const scene = new ServingRig();
  scene.write("text");
  await scene.clock.turn();
  assertEquals(scene.socket.written, "\n");
  scene.socket.gives("\n");
  await scene.clock.turn();
  assertEquals(scene.socket.written, "\n00text\n");
  const release = scene.store.hold();
  scene.write("next");
  await scene.clock.turn();
  for (let time = 0; time < 3 * TIMEOUT; time += TIMEOUT / 2) {
    await scene.clock.advance(TIMEOUT / 2);
    scene.socket.gives("\n");
  }
  assertEquals(scene.codes, []);
  release();
});

Deno.test("a newline that ends a line is no keepalive, wherever the network has cut it", async () => {
  const scene = new ServingRig();
  scene.socket.gives("\n");
  scene.socket.gives("00text");
  scene.socket.gives("\n");
  scene.socket.gives("\n01behind one\n");
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["text", "behind one"]);
});

Deno.test("lines come byte by byte, as long as may be, and of another length behind a newline", async () => {
  const scene = new ServingRig({ lineBytes: 20 });
  for (const byte of "\n00text\n01x\n") scene.socket.gives(byte);
  const longest = "y".repeat(20);
  scene.socket.gives(`02${longest}`);
  scene.socket.gives("\n\n03z\n");
  await scene.clock.turn();
  assertEquals([scene.session.record.inbox, scene.codes], [["text", "x", longest, "z"], []]);
});

Deno.test("a full inbox stops the reading, and what was read before that is kept", async () => {
  const scene = new ServingRig({ inbox: 1 });
  scene.socket.gives("00fits\n01does not\n");
  scene.socket.gives("02nor this\n");
  await scene.clock.advance(10 * TIMEOUT);
  assertEquals([scene.session.record.inbox, scene.codes], [["fits"], []]);
  for (const text of ["fits", "does not", "nor this"]) {
    assertEquals(scene.session.peek(), text);
    scene.session.shift();
    scene.turn.touch((safe, now) => scene.serving.flush(safe, now));
    await scene.clock.turn();
  }
  assertEquals(scene.socket.paused, false);
});

Deno.test("a peer that says nothing is silent after the timeout", async () => {
  const scene = new ServingRig();
  await scene.clock.advance(TIMEOUT * 1.1);
  assertEquals([scene.codes, scene.socket.closed, scene.clock.timers], [["SILENT"], true, 0]);
});

Deno.test("a peer is not silent because we did not listen", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.clock.stall(10 * TIMEOUT);
  scene.socket.gives("\n"); // it lay there
  await scene.clock.caughtUpNow();
  await scene.clock.advance(TIMEOUT / 2);
  assertEquals(scene.codes, []);
  scene.clock.stall(10 * TIMEOUT);
  await scene.clock.caughtUpNow();
  assertEquals(scene.codes, ["SILENT"], "nothing lay there");
});

Deno.test("nor because one commit follows the other, and reading goes on only after the last one", async () => {
  const scene = new ServingRig({ inbox: 1 });
  scene.socket.gives("00fits\n01does not\n");
  await scene.clock.turn();
  scene.session.shift();
  const release = scene.store.hold();
  scene.turn.touch((safe, now) => scene.serving.flush(safe, now));
  await scene.clock.turn();
  assert(scene.turn.busy && scene.session.wantsInput && scene.socket.paused);
  await scene.clock.advance(2 * TIMEOUT);
  await scene.clock.caughtUpNow();
  release();
  await scene.clock.turn();
  assertEquals([scene.socket.paused, scene.codes], [false, []]);
});

Deno.test("nor because a long commit begins before the look at its socket ends, and it is not read meanwhile", async () => {
  const scene = new ServingRig({ inbox: 1 });
  await scene.clock.turn();
  scene.clock.stall(2 * TIMEOUT);
  scene.socket.gives("00fits\n01does not\n"); // it lay there
  scene.session.shift();
  const release = scene.store.hold();
  await scene.clock.turn();
  assert(scene.turn.busy && scene.session.wantsInput && scene.socket.paused);
  await scene.clock.caughtUpNow();
  await scene.clock.advance(2 * TIMEOUT);
  release();
  await scene.clock.turn();
  assertEquals([scene.socket.paused, scene.codes], [false, []]);
});

Deno.test("nor because a long commit begins before the look ends, and the sockets are read late after it", async () => {
  const scene = new ServingRig();
  scene.socket.gives("\n");
  await scene.clock.turn();
  scene.clock.stall(2 * TIMEOUT);
  scene.socket.gives("\n"); // it lay there
  const release = scene.store.hold();
  scene.changeAnother();
  await scene.clock.turn();
  assert(scene.turn.busy);
  await scene.clock.caughtUpNow();
  scene.clock.stall(2 * TIMEOUT);
  release();
  await scene.clock.turn();
  assertEquals(scene.codes, []);
  await scene.clock.caughtUpNow();
  assertEquals(scene.codes, ["SILENT"], "nothing lay there");
});

Deno.test("a peer that takes nothing is stalled after the timeout, whatever it says", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.socket.gives("\n");
  scene.socket.takesNothing();
  scene.write("text");
  for (let time = 0; time < TIMEOUT; time += TIMEOUT / 10) {
    assertEquals(scene.codes, []);
    scene.socket.gives("\n");
    await scene.clock.advance(TIMEOUT / 10);
  }
  await scene.clock.advance(TIMEOUT / 10);
  assertEquals(scene.codes, ["STALLED"]);
});

Deno.test("a peer that has taken all for long is not stalled with the first that it does not take", async () => {
  const scene = new ServingRig();
  const pass = async (ms: number) => {
    for (let time = 0; time < ms; time += TIMEOUT / 10) {
      scene.socket.gives("\n");
      await scene.clock.advance(TIMEOUT / 10);
    }
  };
  await pass(3 * TIMEOUT);
  scene.socket.takesNothing();
  scene.write("text");
  await pass(0.9 * TIMEOUT);
  assertEquals(scene.codes, []);
  await pass(0.2 * TIMEOUT);
  assertEquals(scene.codes, ["STALLED"]);
});

Deno.test("a peer that takes little by little is not stalled", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.socket.gives("\n");
  scene.socket.takesNothing();
  scene.write("text");
  for (let time = 0; time < 5 * TIMEOUT; time += TIMEOUT / 4) {
    scene.socket.gives("\n");
    scene.socket.takesSome();
    await scene.clock.advance(TIMEOUT / 4);
  }
  assertEquals(scene.codes, []);
});

Deno.test("a peer is not stalled because we did not see that it has taken all", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.socket.gives("\n");
  scene.socket.takesNothing();
  scene.write("text");
  await scene.clock.turn();
  scene.clock.stall(10 * TIMEOUT);
  scene.socket.gives("\n");
  scene.socket.takesAgain();
  await scene.clock.caughtUpNow();
  assertEquals(scene.codes, []);
});

Deno.test("what the peer did wrong ends its connection, and what came before counts", async () => {
  const scene = new ServingRig();
  scene.socket.gives("00good\nno id\n01late\n");
  await scene.clock.turn();
  assertEquals([scene.codes, scene.session.record.inbox], [["BAD_LINE"], ["good"]]);
  assertEquals([scene.socket.closed, scene.clock.timers], [true, 0]);
});

Deno.test("a connection that is cut ends at once, also while nothing is read from it", async () => {
  const scene = new ServingRig({ inbox: 1 });
  scene.socket.gives("00fits\n01does not\n");
  await scene.clock.turn();
  scene.serving.drop();
  assertEquals([scene.socket.closed, scene.clock.timers], [true, 0]);
  await scene.clock.advance(10 * TIMEOUT);
  assertEquals(scene.codes, [], "its owner knows");
});
