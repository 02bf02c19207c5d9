/** A server that stops first sends the acks of arrived messages, but does not wait for a failing store. */
import { assert, assertEquals } from "@std/assert";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { drain } from "./drain.ts";

/** A device has sent a message, and the store has not committed it. */
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
  assertEquals(
    [isDone, scene.platform.isListening],
    [false, false],
    "new connections are not accepted",
  );
  release();
  await scene.platform.turn();
  await done;
  await scene[Symbol.asyncDispose]();
  assert(socket.lines.includes("00"), JSON.stringify(socket.lines));
  assert(socket.closed);
});

Deno.test("a store that commits nothing delays the stop for at most 2 s", async () => {
  const { scene, release } = await begin();
  const done = drain(scene.server, scene.platform);
  await scene.platform.advance(2000);
  await done;
  release();
  await scene[Symbol.asyncDispose]();
});

Deno.test("a server that is already closed has nothing to wait for", async () => {
  const scene = await ManualServer.start();
  await scene.server.close();
  const done = drain(scene.server, scene.platform);
  await scene.platform.turn();
  await done;
  await scene[Symbol.asyncDispose]();
});
