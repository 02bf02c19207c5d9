/** How long a peer may take for its greeting, while the server is kept from reading or answering. */
import { assertEquals } from "@std/assert";
import { helloLine, proveLine } from "../../tests/support/greeting.ts";
import { ManualServer, TIMEOUT } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { parseKey } from "../protocol/proof.ts";

const KEY = "00112233445566778899aabbccddeeff".repeat(2);

Deno.test("the time for a greeting does not run while the server keeps a peer waiting for its welcome", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const release = store.hold();
  const socket = await scene.knock(`${helloLine({ id: "1" })}\n`);
  await scene.platform.advance(TIMEOUT * 1.24);
  release();
  await scene.platform.turn();
  assertEquals([socket.written.at(0), socket.closed], ["\x02", false]);
  await scene.platform.advance(TIMEOUT * 0.95);
  assertEquals(socket.closed, false);
  await scene.platform.advance(TIMEOUT * 0.1);
  assertEquals([socket.closed, scene.log], [true, ["refused NO_HELLO"]]);
});

Deno.test("the time for a greeting does not run while a commit keeps the server from reading the rest of a hello", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const other = await scene.knock("1\n\n");
  const release = store.hold();
  await scene.says(other, "00a\n");
  const socket = await scene.knock("k");
  await scene.says(socket, "it");
  assertEquals(socket.paused, true);
  for (let n = 0; n < 6; n++) {
    await scene.platform.advance(TIMEOUT / 5);
    await scene.says(other, "\n");
  }
  release();
  await scene.platform.turn();
  await scene.platform.advance(TIMEOUT / 10);
  await scene.says(other, "\n");
  await scene.says(socket, "chen\n");
  assertEquals([socket.closed, scene.log.at(-1)], [false, "connected kitchen"]);
});

Deno.test("a peer whose hello lay unread until its time was over has a quarter of the timeout for its answer", async () => {
  await using scene = await ManualServer.start();
  const sockets = [await scene.knock(), await scene.knock()] as const;
  scene.platform.stall(1.5 * TIMEOUT);
  for (const [n, socket] of sockets.entries()) socket.gives(`${helloLine({ id: `${n}` })}\n`);
  await scene.platform.caughtUpNow();
  assertEquals(sockets.map(({ written, closed }) => [written.at(0), closed]), [
    ["\x02", false],
    ["\x02", false],
  ]);
  await scene.platform.advance(TIMEOUT * 0.2);
  await scene.says(sockets[0], "\n");
  assertEquals(scene.log.at(-1), "connected 0");
  await scene.platform.advance(TIMEOUT * 0.1);
  assertEquals([sockets[1].closed, scene.log.at(-1)], [true, "refused NO_HELLO"]);
});

Deno.test("a socket that a commit kept from being read during the last look at it is looked at again", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const socket = await scene.knock("k");
  const other = await scene.knock("1\n\n");
  scene.platform.stall(1.5 * TIMEOUT); // the look at it begins
  const release = store.hold();
  await scene.says(other, "00a\n");
  await scene.says(socket, "i");
  await scene.says(socket, "t");
  assertEquals(socket.paused, true);
  release();
  await scene.platform.turn();
  await scene.platform.caughtUpNow();
  assertEquals([socket.paused, socket.closed], [false, false]);
  await scene.says(socket, "chen\n");
  await scene.platform.caughtUpNow();
  assertEquals([socket.closed, scene.log.at(-1)], [false, "connected kitchen"]);
});

Deno.test("empty lines do not extend the time for the proof, though one commit follows the other", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store, keys: [["2", KEY]] });
  const other = await scene.knock("1\n\n");
  const socket = await scene.knock(`${helloLine({ id: "2", suite: "02" })}\n`);
  for (let n = 0; n < 11; n++) {
    const release = store.hold();
    await scene.says(other, `0${n.toString(16)}a\n`);
    await scene.says(socket, "\n");
    await scene.platform.advance(TIMEOUT / 10);
    release();
    await scene.platform.turn();
  }
  assertEquals([socket.closed, scene.log.includes("refused NO_HELLO")], [true, true]);
});

Deno.test("the end of a proof that arrives by itself during a commit is not taken for an empty line", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store, keys: [["2", KEY]] });
  const other = await scene.knock("1\n\n");
  const hello = helloLine({ id: "2", suite: "02" });
  const socket = await scene.knock(`${hello}\n`);
  const release = store.hold();
  await scene.says(other, "00a\n");
  await scene.says(
    socket,
    proveLine(parseKey("2", KEY), hello, socket.written.trimEnd()).trimEnd(),
  );
  await scene.says(socket, "\n");
  release();
  await scene.platform.turn();
  assertEquals([socket.closed, scene.log.includes("connected 2")], [false, true]);
});
