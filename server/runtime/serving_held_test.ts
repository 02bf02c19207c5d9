/** What a connection holds back, and what becomes of it. */
import { assert, assertEquals } from "@std/assert";
import { ServingRig, TIMEOUT } from "../../tests/support/serving_rig.ts";
import { PeerError } from "../protocol/errors.ts";

/** Bytes arrive, also such as were on their way when the reading stopped. */
function arrive({ serving }: ServingRig, text: string): void {
  serving.data(new TextEncoder().encode(text));
}

Deno.test("reading that the greeting has stopped goes on", () => {
  const scene = new ServingRig({}, "00ahead\n", true);
  assertEquals([scene.socket.paused, scene.session.record.inbox], [false, ["ahead"]]);
});

Deno.test("of a large piece nothing is lost when the inbox is full in the middle of it", async () => {
  const scene = new ServingRig({ inbox: 1 });
  const texts = Array.from({ length: 12 }, (_, n) => `${n}${"x".repeat(1000)}`);
  arrive(scene, texts.map((text, n) => `0${n.toString(16)}${text}\n`).join(""));
  await scene.clock.turn();
  for (const text of texts) assertEquals(await scene.reads(), text);
  assertEquals([await scene.reads(), scene.socket.paused], [undefined, false]);
});

Deno.test("what comes after a pause is behind what came before it, to the byte", async () => {
  const scene = new ServingRig({ inbox: 1 });
  arrive(scene, "00a\n01b\n"); // b finds the inbox full
  arrive(scene, "02c");
  arrive(scene, "\n"); // no keepalive
  await scene.clock.turn();
  scene.session.shift();
  assert(scene.session.wantsInput, "and nobody has seen that yet");
  arrive(scene, "03d\n");
  assertEquals(await scene.reads(), undefined, "b is not safe yet");
  assertEquals(scene.socket.paused, true, "c and d find the inbox full");
  for (const text of ["b", "c", "d"]) assertEquals(await scene.reads(), text);
  assertEquals([scene.socket.paused, scene.codes], [false, []]);
});

Deno.test("bytes that came during another device's commit wait no longer than that takes", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  const release = scene.store.hold();
  scene.changeAnother();
  await scene.clock.turn();
  arrive(scene, "00text\n");
  assertEquals(scene.session.record.inbox, []);
  release();
  await scene.clock.turn();
  assertEquals(scene.session.record.inbox, ["text"]);
});

Deno.test("a connection that is dropped during a commit brings nothing, and is not judged", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  const release = scene.store.hold();
  scene.changeAnother();
  await scene.clock.turn();
  arrive(scene, "00text\n");
  scene.clock.stall(10 * TIMEOUT);
  await scene.clock.caughtUpNow();
  scene.serving.drop();
  release();
  await scene.clock.turn();
  assertEquals([scene.session.record.inbox, scene.codes], [[], []]);
});

Deno.test("a connection that has parted before the look at its socket ends is closed in time", async () => {
  const scene = new ServingRig();
  scene.farewell = "farewell\n";
  await scene.clock.turn();
  scene.clock.stall(2 * TIMEOUT);
  arrive(scene, "\n");
  scene.serving.part(new PeerError("LOST", "sent away"));
  await scene.clock.turn();
  assertEquals([scene.codes, scene.socket.finished, scene.socket.closed], [["LOST"], true, false]);
  await scene.clock.caughtUpNow();
  await scene.clock.advance(TIMEOUT / 2);
  assertEquals([scene.codes, scene.socket.closed], [["LOST"], true]);
});

Deno.test("a connection ends once, for the first reason", () => {
  const scene = new ServingRig();
  for (const code of ["NOT_ADMITTED", "LOST"] as const) scene.serving.cut(new PeerError(code, ""));
  assertEquals(scene.codes, ["NOT_ADMITTED"]);
});

Deno.test("what has no ack is sent again in time, though nothing else happens", async () => {
  const scene = new ServingRig();
  arrive(scene, "\n");
  scene.write("text");
  for (let time = 0; time <= 1.1 * TIMEOUT; time += TIMEOUT / 10) {
    await scene.clock.advance(TIMEOUT / 10);
    arrive(scene, "\n");
  }
  assertEquals(scene.socket.written.match(/00text\n/g)?.length, 2);
});

Deno.test("during a commit there are no keepalives for a socket that takes nothing", async () => {
  const scene = new ServingRig();
  await scene.clock.turn();
  arrive(scene, "\n");
  scene.socket.takesNothing();
  scene.write("text");
  await scene.clock.turn();
  const { written } = scene.socket;
  scene.store.hold();
  scene.changeAnother();
  await scene.clock.advance(TIMEOUT / 2);
  assert(scene.turn.busy);
  assertEquals(scene.socket.written, written);
});
