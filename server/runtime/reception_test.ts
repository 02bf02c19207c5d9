import { assert, assertEquals } from "@std/assert";
import { helloLine, proveLine } from "../../tests/support/greeting.ts";
import type { ManualSocket } from "../../tests/support/manual_platform.ts";
import { ManualServer, TIMEOUT } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { parseKey } from "../protocol/proof.ts";

const KEY = "00112233445566778899aabbccddeeff".repeat(2);

Deno.test("a peer that sends no hello in time is refused", async () => {
  await using scene = await ManualServer.start();
  const silent = await scene.knock();
  const slow = await scene.knock("half a hel");
  await scene.platform.advance(TIMEOUT * 1.1);
  assertEquals([silent.closed, slow.closed], [true, true]);
  assertEquals(scene.log, ["refused NO_HELLO", "refused NO_HELLO"]);
});

Deno.test("empty lines, or pieces of a line, do not extend the time for the greeting", async () => {
  await using scene = await ManualServer.start({ keys: [["1", KEY]] });
  const hello = `${helloLine({ id: "1", suite: "02" })}\n`;
  const sockets = [];
  for (
    const [first, next] of [[hello, "\n"], [hello, "\x03"], ["x", "x"], ["\x01", "0"]] as const
  ) {
    sockets.push([await scene.knock(first), next] as const);
  }
  for (let n = 1; n < 20; n++) {
    await scene.platform.advance(TIMEOUT / 20);
    for (const [socket, next] of sockets) await scene.says(socket, next);
  }
  assertEquals(sockets.map(([{ closed }]) => closed), [false, false, false, false]);
  await scene.platform.advance(TIMEOUT * 0.15);
  assertEquals(sockets.map(([{ closed }]) => closed), [true, true, true, true]);
  assertEquals(scene.log, Array(4).fill("refused NO_HELLO"));
});

Deno.test("lines that arrive during a commit, before the welcome, do not confirm a connection", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const release = store.hold();
  const patient = await scene.knock(`${helloLine({ id: "1" })}\n`);
  const hasty = await scene.knock(`${helloLine({ id: "2" })}\n`);
  await scene.says(patient, "\n\n");
  await scene.says(hasty, "00a\n");
  assertEquals([patient.written, hasty.written], ["", ""]);
  release();
  await scene.platform.turn();
  assertEquals([patient.written.at(0), patient.closed], ["\x02", false]);
  assertEquals([hasty.written, hasty.closed, scene.log], ["", true, ["refused BAD_LINE"]]);
  assertEquals(scene.server.devices, []);
  await scene.says(patient, "\n");
  assertEquals(scene.server.devices.map(({ id }) => id), ["1"]);
});

Deno.test("a hello is not late just because the server did not read it in time", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock();
  scene.platform.stall(10 * TIMEOUT);
  socket.gives("1\n"); // it arrived meanwhile
  await scene.platform.caughtUpNow();
  await scene.platform.turn();
  assertEquals([socket.closed, scene.log], [false, ["connected 1", "app_started 1"].slice(0, 1)]);
});

Deno.test("when many peers connect at once, some start first, then the newest of the others, and all are served", async () => {
  await using scene = await ManualServer.start();
  const { caughtUp } = scene.platform;
  const looked: number[] = [];
  scene.platform.caughtUp = (sockets, run) => {
    looked.push(sockets);
    caughtUp(sockets, run);
  };
  const sockets = Array.from({ length: 200 }, () => scene.platform.knock());
  assertEquals(
    looked,
    [65],
    "as soon as there are more than may begin, all of these are looked at",
  );
  assertEquals(sockets.filter(({ paused }) => !paused).length, 64);
  for (const [i, socket] of sockets.entries()) socket.gives(`${i}\n`);
  await scene.platform.turn();
  assertEquals(scene.log.length, 64);
  await scene.platform.caughtUpNow();
  const next = scene.log.slice(64).map((entry) => Number(entry.split(" ")[1]));
  assertEquals(next, Array.from({ length: 128 }, (_, i) => 199 - i));
  await scene.platform.caughtUpNow();
  assertEquals(scene.log.length, 200);
});

Deno.test("a peer that has waited so long that it must have given up is refused", async () => {
  await using scene = await ManualServer.start();
  const sockets = Array.from({ length: 65 }, () => scene.platform.knock());
  scene.platform.stall(TIMEOUT);
  await scene.platform.caughtUpNow(); // late: nobody may start
  await scene.platform.caughtUpNow();
  assertEquals(sockets[64]!.closed, true);
  assertEquals(scene.log.at(-1), "refused TOO_MANY_CONNECTIONS");
});

Deno.test("silent peers make room for devices, the oldest first, whether or not their greeting has started", async () => {
  await using scene = await ManualServer.start({ limits: { connections: 100 } });
  const strangers = Array.from({ length: 100 }, () => scene.platform.knock());
  const device = await scene.knock("1\n");
  await scene.platform.caughtUpNow();
  assertEquals(strangers.map(({ closed }) => closed), strangers.map((_, i) => i === 0));
  assertEquals([device.closed, scene.log.at(-1)], [false, "connected 1"]);
});

Deno.test("a peer that was closed to make room before its greeting started does not take a start from others", async () => {
  await using scene = await ManualServer.start({ limits: { connections: 80 } });
  for (let n = 0; n < 64; n++) scene.platform.knock().gives(`${n}\n`);
  await scene.platform.turn();
  const silent = Array.from({ length: 16 }, () => scene.platform.knock());
  const device = scene.platform.knock();
  assertEquals(silent.map(({ closed }) => closed), silent.map((_, i) => i === 0));
  await scene.platform.caughtUpNow();
  await scene.says(device, "64\n");
  assertEquals(scene.log.at(-1), "connected 64");
});

Deno.test("a hello that arrives in pieces during a commit is whole after it", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const other = await scene.knock("1\n\n");
  const release = store.hold();
  await scene.says(other, "00a\n");
  const socket = await scene.knock("kit");
  await scene.says(socket, "che");
  await scene.says(socket, "n\n\n");
  assertEquals(socket.written, "");
  release();
  await scene.platform.turn();
  assertEquals([scene.log.at(-1), socket.closed], ["connected kitchen", false]);
});

Deno.test("when every connection has sent its hello, the next one is refused", async () => {
  await using scene = await ManualServer.start({ limits: { connections: 2 } });
  for (const id of ["1", "2"]) await scene.knock(`${id}\n`);
  const third = await scene.knock();
  assertEquals([third.closed, scene.log.at(-1)], [true, "refused TOO_MANY_CONNECTIONS"]);
});

for (const dialect of [1, 2] as const) {
  const hello = dialect === 1 ? "1\n" : `${helloLine({ id: "1" })}\n`;
  const name = `a store that is slow to read a new device, dialect ${dialect}`;
  Deno.test(`${name}: nothing is lost or refused as late`, async () => {
    const store = new SlowStore();
    await using scene = await ManualServer.start({ store });
    const release = store.hold();
    const socket = await scene.knock(hello);
    await scene.says(socket, dialect === 1 ? "00first\n01sec" : "\n");
    assertEquals(socket.paused, true);
    await scene.platform.advance(3 * TIMEOUT);
    assertEquals([socket.closed, socket.written, store.asked], [false, "", ["1"]]);
    if (dialect === 1) socket.gives("ond\n");
    release();
    await scene.platform.turn();
    await scene.platform.turn();
    if (dialect === 2) await scene.says(socket, "00first\n01second\n"); // the welcome is there
    const device = await scene.server.device("1");
    assertEquals([await device.readline(), await device.readline()], ["first", "second"]);
    assertEquals([device.connected, socket.paused], [true, false]);
  });
}

Deno.test("two connections that greet as the same new device are one device in the store", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const release = store.hold();
  const [first, second] = [await scene.knock("1\n"), await scene.knock("1\n")];
  release();
  await scene.platform.turn();
  assertEquals(store.asked, ["1"]);
  assertEquals([first.closed, second.closed], [true, false]);
  await scene.says(second, "00text\n");
  assertEquals(await (await scene.server.device("1")).readline(), "text");
  assertEquals((await store.list()).length, 1);
});

Deno.test("the store is asked once for a new device that connects again before the store has answered", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const release = store.hold();
  const gone = await scene.knock("1\n");
  gone.fails(new Error("reset"));
  const back = await scene.knock("1\n");
  release();
  await scene.platform.turn();
  assertEquals(store.asked, ["1"]);
  await scene.says(back, "00text\n");
  assertEquals(back.written, "\n00\n");
});

Deno.test("a new device that is gone before the store has answered leaves nothing", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const release = store.hold();
  const socket = await scene.knock("1\n");
  socket.fails(new Error("reset"));
  release();
  await scene.platform.turn();
  assertEquals([scene.log, scene.server.devices.length], [["refused LOST"], 0]);
  assertEquals(await store.list(), []);
});

Deno.test("a connection whose device the store cannot read is refused, and no other", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  await scene.knock("1\n");
  store.fails = new Error("disk I/O error");
  const socket = await scene.knock("2\n");
  assertEquals([socket.closed, scene.log.at(-1)], [true, "refused STORE_FAILED"]);
  store.fails = undefined;
  await scene.knock("2\n");
  assertEquals(scene.log.at(-1), "connected 2");
});

Deno.test("an answer to a welcome that is out of date is refused", async () => {
  await using scene = await ManualServer.start({ open: false, keys: [["1", KEY]] });
  const hello = helloLine({ id: "1", suite: "02" });
  const [slow, quick] = [await scene.knock(`${hello}\n`), await scene.knock(`${hello}\n`)];
  const answer = ({ written }: ManualSocket) =>
    proveLine(parseKey("1", KEY), hello, written.trimEnd());
  const late = answer(slow);
  await scene.says(quick, answer(quick));
  await scene.says(slow, late);
  assertEquals([slow.closed, quick.closed], [true, false]);
  assertEquals(scene.log.filter((entry) => !entry.startsWith("booted")), [
    "connected 1",
    "refused STALE_GREETING",
  ]);
});

Deno.test("a late refusal comes after a quarter of the timeout, and nothing is read meanwhile", async () => {
  await using scene = await ManualServer.start({ open: false, keys: [["1", KEY]] });
  const socket = await scene.knock(`${helloLine({ id: "1", suite: "02" })}\n`);
  await scene.says(socket, `\x03${"0".repeat(32)}\n`);
  await scene.says(socket, "more and more\n");
  await scene.platform.advance(TIMEOUT / 4 - 1);
  assertEquals(socket.closed, false);
  await scene.platform.advance(TIMEOUT / 10);
  assertEquals([socket.finished, scene.log], [true, ["refused BAD_PROOF"]]);
  assert(socket.written.endsWith("\x0402\n"));
});

Deno.test("a peer that leaves before it gets its refusal is reported with the reason of the refusal", async () => {
  await using scene = await ManualServer.start({ open: false, keys: [["1", KEY]] });
  const socket = await scene.knock(`${helloLine({ id: "1", suite: "02" })}\n`);
  await scene.says(socket, `\x03${"0".repeat(32)}\n`);
  socket.fails(new Error("reset"));
  await scene.platform.turn();
  assertEquals(scene.log, ["refused BAD_PROOF"]);
});

Deno.test("a refusal that the peer does not read does not keep the connection open", async () => {
  await using scene = await ManualServer.start({ open: false, keys: [["1", KEY]] });
  const socket = await scene.knock();
  socket.takesNothing();
  await scene.says(socket, `${helloLine({ id: "2", suite: "00" })}\n`);
  assertEquals(socket.closed, false);
  await scene.platform.advance(TIMEOUT * 1.1);
  assertEquals([socket.closed, scene.log], [true, ["refused NOT_ADMITTED"]]);
});

Deno.test("a server that closes ends the greetings under way, and does not report them", async () => {
  const scene = await ManualServer.start();
  const [begun, waiting] = [await scene.knock("half"), ...Array(100).fill(0)].map((it) =>
    it || scene.platform.knock()
  );
  await scene.server.close();
  assert(begun!.closed && waiting!.closed);
  assertEquals(scene.log, ["closed"]);
  const late = scene.platform.knock();
  assert(late.closed);
});

Deno.test("a device that another server has taken is not welcomed from outdated state", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const older = await scene.knock(`${helloLine({ id: "1" })}\n`);
  await scene.says(older, "\n");
  await store.acquire("1"); // another server takes it
  const newer = await scene.knock();
  older.gives("00text\n");
  newer.gives(`${helloLine({ id: "1" })}\n`);
  await scene.platform.turn();
  assertEquals([older.closed, newer.closed, newer.written], [true, true, ""]);
  assertEquals(scene.log.slice(-2), ["refused STALE_GREETING", "warning 1 FENCED"]);
  const again = await scene.knock(`${helloLine({ id: "1" })}\n`);
  await scene.says(again, "\n");
  assertEquals(scene.log.findLast((entry) => entry.startsWith("connected")), "connected 1");
  assertEquals(again.closed, false);
});

Deno.test("when the system has no room for a connection, half of the connections without a hello are closed", async () => {
  await using scene = await ManualServer.start();
  const here = await scene.knock("1\n\n");
  const silent: ManualSocket[] = [];
  for (let n = 0; n < 5; n++) silent.push(await scene.knock());
  const closed = () => silent.map((socket) => socket.closed);
  scene.platform.acceptsNothing(new Error("EMFILE"));
  await scene.platform.turn();
  assertEquals(closed(), [true, true, true, false, false], "the oldest");
  scene.platform.acceptsNothing(new Error("EMFILE"));
  scene.platform.acceptsNothing(new Error("EMFILE"));
  await scene.platform.turn();
  assertEquals([closed(), here.closed], [Array(5).fill(true), false]);
  assertEquals(scene.log.filter((it) => it === "refused NOT_ACCEPTED").length, 3);
});

Deno.test("a refused peer gets the reason before the connection ends, if it takes the answer in time", async () => {
  for (const takes of [true, false]) {
    await using scene = await ManualServer.start();
    const socket = scene.platform.knock();
    socket.takesNothing();
    socket.gives(`${helloLine({ suite: "02" })}\n`);
    await scene.platform.advance(TIMEOUT - 1);
    assertEquals([socket.written.at(0), socket.closed], ["\x04", false]);
    if (takes) socket.takesAgain();
    else await scene.platform.advance(TIMEOUT * 1.1);
    const isOver = takes ? socket.finished : socket.closed;
    assertEquals([isOver, scene.log], [true, ["refused NOT_ADMITTED"]]);
  }
});

Deno.test("bytes after a refusal are read and dropped until the peer closes the connection, or for a quarter of the timeout", async () => {
  await using scene = await ManualServer.start({ keys: [["1", KEY]] });
  const hello = `${helloLine({ id: "1", suite: "00" })}\n`;
  const [polite, stubborn] = [await scene.knock(hello), await scene.knock(hello)];
  await scene.says(stubborn, `${"more".repeat(10_000)}\n`);
  for (const socket of [polite, stubborn]) {
    assertEquals([socket.lines.at(-1), socket.finished, socket.closed, socket.paused], [
      "\x0403",
      true,
      false,
      false,
    ]);
  }
  polite.fails(new Error("closed"));
  await scene.platform.advance(TIMEOUT / 4 - 1);
  assertEquals([polite.closed, stubborn.closed], [true, false]);
  await scene.platform.advance(TIMEOUT / 40 + 1);
  assertEquals(stubborn.closed, true);
  assertEquals(scene.log, ["refused NOT_ADMITTED", "refused NOT_ADMITTED"]);
});

Deno.test("refused peers that do not close are the first to make room", async () => {
  await using scene = await ManualServer.start({ limits: { connections: 3 }, keys: [["1", KEY]] });
  const greeting = await scene.knock("half a hel");
  const hello = `${helloLine({ id: "1", suite: "00" })}\n`;
  const [first, second] = [await scene.knock(hello), await scene.knock(hello)];
  const device = await scene.knock("2\n\n");
  assertEquals([first, second, greeting, device].map(({ closed }) => closed), [
    true,
    false,
    false,
    false,
  ]);
  scene.platform.acceptsNothing(new Error("EMFILE"));
  await scene.platform.turn();
  assertEquals([second, greeting, device].map(({ closed }) => closed), [true, false, false]);
});
