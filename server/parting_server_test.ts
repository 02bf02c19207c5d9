/** A server that is about to stop sends its devices to their next address. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { helloLine, refusal } from "../tests/support/greeting.ts";
import type { ManualSocket } from "../tests/support/manual_platform.ts";
import { ManualServer } from "../tests/support/manual_server.ts";
import { SlowStore } from "../tests/support/slow_store.ts";
import { LocalError } from "./mod.ts";

const AWAY = refusal("07");

async function connect(scene: ManualServer, id: string): Promise<ManualSocket> {
  const socket = await scene.knock(`${helloLine({ id })}\n`);
  await scene.says(socket, "\n");
  return socket;
}

/** For each connection: "away" if it was told to leave, "gone" if it was closed without that, or "here". */
function fates(sockets: readonly ManualSocket[]): string {
  return sockets.map(({ written, closed }) => {
    if (written.endsWith(AWAY)) return "away";
    return closed ? "gone" : "here";
  }).join(" ");
}

Deno.test("devices are sent away one after the other, and no new connection is accepted", async () => {
  await using scene = await ManualServer.start();
  const sockets = [];
  for (const id of ["a", "b", "c", "d"]) sockets.push(await connect(scene, id));
  let isDone = false;
  const done = scene.server.sendAway(400).then(() => isDone = true);
  await scene.platform.turn();
  assertEquals([fates(sockets), scene.platform.isListening], ["away here here here", false]);
  await scene.platform.advance(100);
  assertEquals(fates(sockets), "away away here here");
  await scene.platform.advance(150);
  assertEquals([fates(sockets), isDone], ["away away away here", false]);
  await scene.platform.advance(50);
  await done;
  assertEquals(fates(sockets), "away away away away");
  assertEquals(scene.log.filter((line) => line.startsWith("disconnected")).length, 4);
});

Deno.test("a device that is still greeting is sent away as soon as it is admitted", async () => {
  await using scene = await ManualServer.start();
  const [here, late] = [
    await connect(scene, "a"),
    await scene.knock(`${helloLine({ id: "b" })}\n`),
  ];
  await scene.server.sendAway(0);
  await scene.platform.turn();
  assertEquals(fates([here, late]), "away here");
  await scene.says(late, "\n");
  await scene.platform.turn();
  assertEquals(fates([here, late]), "away away");
});

Deno.test("what a device sends after that is dropped; its connection ends when the device closes it, or soon after", async () => {
  await using scene = await ManualServer.start({ timeout: 2000 });
  const [quick, slow] = [await connect(scene, "a"), await connect(scene, "b")];
  await scene.server.sendAway(0);
  await scene.platform.turn();
  await scene.says(slow, "00late\n");
  assertEquals([quick.closed, slow.closed, fates([slow])], [false, false, "away"]);
  quick.fails(new Error("closed"));
  await scene.platform.advance(499);
  assertEquals([quick.closed, slow.closed], [true, false]);
  await scene.platform.advance(2000 / 40 + 1);
  assertEquals(slow.closed, true);
});

Deno.test("in dialect 1 the connection is closed without a word", async () => {
  await using scene = await ManualServer.start();
  const sockets = [await scene.knock("a\n\n"), await connect(scene, "b")];
  await scene.server.sendAway(0);
  await scene.platform.turn();
  assertEquals(fates(sockets), "gone away");
});

Deno.test("what has arrived is acknowledged before the device is sent away", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const socket = await connect(scene, "a");
  const release = store.hold();
  await scene.says(socket, "00one\n");
  const done = scene.server.sendAway(0);
  await scene.platform.turn();
  assertEquals(fates([socket]), "here", "the commit is under way");
  release();
  await scene.platform.turn();
  await done;
  assertEquals(fates([socket]), "away");
  assertEquals(socket.lines.slice(-2), ["00", AWAY.trim()]);
});

Deno.test("a device that still has to take a message is sent away after it has taken it", async () => {
  await using scene = await ManualServer.start();
  const socket = await connect(scene, "a");
  const device = await scene.server.device("a");
  socket.takesNothing();
  device.write("one").catch(() => {});
  await scene.platform.turn();
  await scene.server.sendAway(0);
  await scene.platform.turn();
  assertEquals(fates([socket]), "here");
  socket.takesAgain();
  await scene.platform.turn();
  assertEquals(fates([socket]), "away");
  assert(socket.written.includes("00one\n"));
});

Deno.test("a server that is closed meanwhile waits for nobody", async () => {
  await using scene = await ManualServer.start();
  const sockets = [await connect(scene, "a"), await connect(scene, "b")];
  const done = scene.server.sendAway(60_000);
  await scene.platform.turn();
  await scene.server.close();
  await done;
  assertEquals(fates(sockets), "away gone");
  await assertRejects(() => scene.server.sendAway(0), LocalError, "closed");
});

Deno.test("an invalid time for sending devices away is refused", async () => {
  await using scene = await ManualServer.start();
  for (const over of [-1, 3_600_001, NaN, 0.5]) {
    await assertRejects(() => scene.server.sendAway(over), LocalError, "over");
  }
});
