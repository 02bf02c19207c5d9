/** A server that ends lets out the acks of what has arrived, and is not kept by a store that fails. */
import { assert, assertEquals } from "@std/assert";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { drain } from "./drain.ts";

/** A device has said something, and the store has it not. */
async function begin() {
  const store = new SlowStore();
  const scene = await ManualServer.start({ store });
  const socket = await scene.knock("a\n\n");
  const release = store.hold();
  await scene.says(socket, "00one\n");
  assert(!socket.lines.includes("00"));
  return { scene, socket, release };
}

Deno.test("arrived messages are acknowledged before the server is closed", async () => {
  const { scene, socket, release } = await begin();
  let isDone = false;
  const done = drain(scene.server, scene.platform).then(() => isDone = true);
  await scene.platform.turn();
  assertEquals([isDone, scene.platform.isListening], [false, false], "nobody new is let in");
  release();
  await scene.platform.turn();
  await done;
  await scene[Symbol.asyncDispose]();
  assert(socket.lines.includes("00"), JSON.stringify(socket.lines));
  assert(socket.closed);
});

Deno.test("a store that takes nothing is not waited for without end", async () => {
  const { scene, release } = await begin();
  const done = drain(scene.server, scene.platform);
  await scene.platform.advance(2000);
  await done;
  release();
  await scene[Symbol.asyncDispose]();
});

Deno.test("a server that is closed already has nothing to wait for", async () => {
  const scene = await ManualServer.start();
  await scene.server.close();
  const done = drain(scene.server, scene.platform);
  await scene.platform.turn();
  await done;
  await scene[Symbol.asyncDispose]();
});
