/** Input that a connection holds back, and when it is handled. */
import { assert, assertEquals } from "@std/assert";
import { ServingRig, TIMEOUT } from "../../tests/support/serving_rig.ts";
import { PeerError } from "../protocol/errors.ts";

/** Delivers bytes, even while reading is paused, like bytes that were already on their way. */
function arrive({ serving }: ServingRig, text: string): void {
  serving.data(new TextEncoder().encode(text));
}

Deno.test("reading that the greeting has paused is resumed", () => {
  const scene = new ServingRig({}, "00ahead\n", true);
  assertEquals([scene.socket.paused, scene.session.record.inbox], [false, ["ahead"]]);
});

Deno.test("nothing of a large chunk is lost when the inbox fills up in the middle of it", async () => {
  const scene = new ServingRig({ inbox: 1 });
  const texts = Array.from({ length: 12 }, (_, n) => `${n}${"x".repeat(1000)}`);
  arrive(scene, texts.map((text, n) => `0${n.toString(16)}${text}\n`).join(""));
  await scene.clock.turn();
  for (const text of texts) assertEquals(await scene.reads(), text);
  assertEquals([await scene.reads(), scene.socket.paused], [undefined, false]);
});

Deno.test("bytes that arrive after a pause are handled after the bytes from before it", async () => {
  const scene = new ServingRig({ inbox: 1 });
  arrive(scene, "00a\n01b\n"); // b finds the inbox full
  arrive(scene, "02c");
  arrive(scene, "\n"); // no keepalive
  await scene.clock.turn();
  scene.session.shift();
  assert(scene.session.wantsInput, "but reading has not been resumed yet");
  arrive(scene, "03d\n");
  assertEquals(await scene.reads(), undefined, "b is not safe yet");
  assertEquals(scene.socket.paused, true, "c and d find the inbox full");
  for (const text of ["b", "c", "d"]) assertEquals(await scene.reads(), text);
  assertEquals([scene.socket.paused, scene.codes], [false, []]);
});

Deno.test("bytes that arrive during another device's commit are handled as soon as it ends", async () => {
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

Deno.test("bytes of a connection that is dropped during a commit are ignored, and no error is reported", async () => {
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

Deno.test("a connection that has said farewell before the look at its socket ends is still closed in time", async () => {
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

Deno.test("a message without an ack is sent again in time, although nothing else happens", async () => {
  const scene = new ServingRig();
  arrive(scene, "\n");
  scene.write("text");
  for (let time = 0; time <= 1.1 * TIMEOUT; time += TIMEOUT / 10) {
    await scene.clock.advance(TIMEOUT / 10);
    arrive(scene, "\n");
  }
  assertEquals(scene.socket.written.match(/00text\n/g)?.length, 2);
});

Deno.test("during a commit no keepalives are sent to a socket that takes nothing", async () => {
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
