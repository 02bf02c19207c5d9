import { assert, assertEquals, assertMatch } from "@std/assert";
import { ServingRig, TIMEOUT } from "../../tests/support/serving_rig.ts";

Deno.test("any network error ends its connection with LOST, and leaves no timer", async () => {
  const errors = [
    new Error("Connection reset by peer"),
    // The error for a board that has lost its WiFi, after a while.
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

Deno.test("bytes after the greeting are the first that the session gets", async () => {
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
  assertEquals([scene.socket.written, scene.socket.paused], ["\n", false], "only a few bytes");
  release();
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["first", "second", "third"]);
  assertEquals([scene.socket.written, scene.socket.paused], ["\n00\n01\n02\n", false]);
});

Deno.test("reading from a peer that sends much during a commit is paused", async () => {
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

Deno.test("messages that arrived before a connection ended are received, even during a commit", async () => {
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

Deno.test("only keepalives are sent while a commit is under way", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.socket.gives("\n");
  const release = scene.store.hold();
  scene.write("text");
  await scene.clock.advance(TIMEOUT);
  assert(scene.turn.busy);
  assertMatch(scene.socket.written, /^\n{4,5}$/, "every quarter of the timeout, or a tick later");
  assertEquals(scene.codes, [], "a peer is not silent while we do not read");
  release();
  await scene.clock.turn();
  assert(scene.socket.written.endsWith("\n00text\n"));
});

Deno.test("a silent peer is noticed even if one commit follows the other", async () => {
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

Deno.test("reading resumes as soon as the socket takes the waiting acks", async () => {
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

Deno.test("the first keepalive lets messages out at once, later ones only keep the connection alive", async () => {
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

Deno.test("a newline that ends a line is not a keepalive, wherever the network splits the bytes", async () => {
  const scene = new ServingRig();
  scene.socket.gives("\n");
  scene.socket.gives("00text");
  scene.socket.gives("\n");
  scene.socket.gives("\n01behind one\n");
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["text", "behind one"]);
});

Deno.test("lines are received byte by byte, at the maximum length, and after a keepalive", async () => {
  const scene = new ServingRig({ lineBytes: 20 });
  for (const byte of "\n00text\n01x\n") scene.socket.gives(byte);
  const longest = "y".repeat(20);
  scene.socket.gives(`02${longest}`);
  scene.socket.gives("\n\n03z\n");
  await scene.clock.turn();
  assertEquals([scene.session.record.inbox, scene.codes], [["text", "x", longest, "z"], []]);
});

Deno.test("a full inbox pauses reading, and the bytes that were read before are kept", async () => {
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

Deno.test("a peer that sends nothing ends as SILENT after the timeout", async () => {
  const scene = new ServingRig();
  await scene.clock.advance(TIMEOUT * 1.1);
  assertEquals([scene.codes, scene.socket.closed, scene.clock.timers], [["SILENT"], true, 0]);
});

Deno.test("a peer is not SILENT just because the server did not read in time", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.clock.stall(10 * TIMEOUT);
  scene.socket.gives("\n"); // it arrived meanwhile
  await scene.clock.caughtUpNow();
  await scene.clock.advance(TIMEOUT / 2);
  assertEquals(scene.codes, []);
  scene.clock.stall(10 * TIMEOUT);
  await scene.clock.caughtUpNow();
  assertEquals(scene.codes, ["SILENT"], "nothing had arrived");
});

Deno.test("a peer is not SILENT just because reading resumes only after a second commit", async () => {
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

Deno.test("a peer is not SILENT just because a long commit begins before the look at its socket ends, while its inbox is full", async () => {
  const scene = new ServingRig({ inbox: 1 });
  await scene.clock.turn();
  scene.clock.stall(2 * TIMEOUT);
  scene.socket.gives("00fits\n01does not\n"); // it arrived meanwhile
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

Deno.test("a peer is not SILENT just because a long commit begins before the look ends, and its socket is read late after it", async () => {
  const scene = new ServingRig();
  scene.socket.gives("\n");
  await scene.clock.turn();
  scene.clock.stall(2 * TIMEOUT);
  scene.socket.gives("\n"); // it arrived meanwhile
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
  assertEquals(scene.codes, ["SILENT"], "nothing had arrived");
});

Deno.test("a peer is not SILENT just because one commit followed the other while its socket was not read: silence counts from when it is read again", async () => {
  const scene = new ServingRig({ inbox: 1 });
  scene.socket.gives("00fits\n01does not\n");
  await scene.clock.turn();
  let release = scene.store.hold();
  scene.changeAnother();
  await scene.clock.turn();
  for (let commits = 0; commits < 4; commits++) {
    await scene.clock.advance(TIMEOUT);
    assert(scene.turn.busy && scene.socket.paused);
    scene.turn.enter(() => scene.changeAnother());
    release();
    release = scene.store.hold();
    await scene.clock.turn();
  }
  release();
  await scene.reads();
  await scene.reads();
  assertEquals(scene.socket.paused, false);
  await scene.clock.advance(TIMEOUT / 4);
  await scene.clock.caughtUpNow();
  assertEquals(scene.codes, []);
  await scene.clock.advance(TIMEOUT);
  await scene.clock.caughtUpNow();
  assertEquals(scene.codes, ["SILENT"], "nothing has come since");
});

Deno.test("a peer that takes nothing ends as STALLED after the timeout, whatever it sends", async () => {
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

Deno.test("a peer that has long taken everything has the whole timeout for the first bytes that it does not take", async () => {
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

Deno.test("a peer that takes bytes little by little is not STALLED", async () => {
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

Deno.test("a peer that takes some bytes and then nothing ends as STALLED a timeout after the server has seen that, at its next keepalive", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  scene.socket.gives("\n");
  scene.socket.takesNothing();
  scene.write("text");
  await scene.clock.advance(TIMEOUT / 10);
  scene.socket.takesSome();
  for (let time = TIMEOUT / 10; time < 1.2 * TIMEOUT; time += TIMEOUT / 10) {
    assertEquals(scene.codes, []);
    scene.socket.gives("\n");
    await scene.clock.advance(TIMEOUT / 10);
  }
  await scene.clock.advance(TIMEOUT / 10);
  await scene.clock.caughtUpNow();
  assertEquals(scene.codes, ["STALLED"]);
});

Deno.test("a peer is not STALLED just because the server notices late that it has taken everything", async () => {
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

Deno.test("an invalid line ends the connection, and the messages before it are received", async () => {
  const scene = new ServingRig();
  scene.socket.gives("00good\nno id\n01late\n");
  await scene.clock.turn();
  assertEquals([scene.codes, scene.session.record.inbox], [["BAD_LINE"], ["good"]]);
  assertEquals([scene.socket.closed, scene.clock.timers], [true, 0]);
});

Deno.test("a connection that is dropped ends at once, even while reading is paused", async () => {
  const scene = new ServingRig({ inbox: 1 });
  scene.socket.gives("00fits\n01does not\n");
  await scene.clock.turn();
  scene.serving.drop();
  assertEquals([scene.socket.closed, scene.clock.timers], [true, 0]);
  await scene.clock.advance(10 * TIMEOUT);
  assertEquals(scene.codes, [], "its owner has dropped it");
});
