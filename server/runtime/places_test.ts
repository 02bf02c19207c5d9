/** Room for devices with a key and for strangers, on a clock that the test controls. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { KEY } from "../../tests/support/callers.ts";
import { helloLine, proveLine } from "../../tests/support/greeting.ts";
import { ManualServer, TIMEOUT } from "../../tests/support/manual_server.ts";
import { ManualClock, type ManualSocket } from "../../tests/support/manual_platform.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { Access } from "../admission/access.ts";
import { defaultLimits } from "../link/limits.ts";
import { type Device, LocalError, MemoryStore } from "../mod.ts";
import { parseKey } from "../protocol/proof.ts";
import { Places } from "./places.ts";

const HOUR = 3_600_000;

/** Connects in dialect 1. */
async function comes(scene: ManualServer, id: string): Promise<ManualSocket> {
  return await scene.knock(`${id}\n\n`);
}

/** Connects with its key. */
async function proves(scene: ManualServer, id: string): Promise<ManualSocket> {
  const hello = helloLine({ id, suite: "02" });
  const socket = await scene.knock(`${hello}\n`);
  await scene.says(socket, proveLine(parseKey(id, KEY), hello, socket.written.trimEnd()));
  return socket;
}

function known(scene: ManualServer): string[] {
  return scene.server.devices.map(({ id }) => id);
}

async function leave(scene: ManualServer, ...sockets: ManualSocket[]): Promise<void> {
  for (const socket of sockets) socket.fails(new Error("reset"));
  await scene.platform.turn();
}

Deno.test("limits that would keep devices out are named, with what to raise", () => {
  const shortages = (keys: number, connections: number, files?: number) => {
    const ids = Array.from({ length: keys }, (_, n) => [`${n}`, KEY] as const);
    const access = new Access({ open: true, keys: ids });
    const limits = { ...defaultLimits, connections };
    return new Places(access, limits, new ManualClock(), files).shortages();
  };
  assertEquals([shortages(0, 200), shortages(200, 200, 232)], [[], []]);
  const [files, ...others] = shortages(0, 200, 231);
  assertEquals(others, []);
  assert(files!.includes("199 connections instead of 200"), files);
  assert(files!.includes("by 1, or lower --limit connections"), files);
  const [named] = shortages(201, 200);
  assert(named!.includes("201 devices with a key") && named!.includes("200 connections"), named);
  assertEquals(shortages(3, 200, 34).length, 2);
  const backlog = (connections: number) => {
    const limits = { ...defaultLimits, connections };
    return new Places(new Access({ open: true }), limits, new ManualClock()).backlog;
  };
  assertEquals([backlog(200), backlog(5000)], [200, 256]);
});

Deno.test("strangers get half of the connections that devices with a key leave", async () => {
  await using scene = await ManualServer.start({
    keys: [["1", KEY], ["2", KEY]],
    limits: { connections: 8 },
  });
  const strangers: ManualSocket[] = [];
  for (let n = 0; n < 20; n++) strangers.push(await comes(scene, `stranger ${n}`));
  assertEquals(strangers.filter(({ closed }) => !closed).length, 3);
  assertEquals(scene.log.filter((it) => it === "refused TOO_MANY_CONNECTIONS").length, 17);
  const keyed = [await proves(scene, "1"), await proves(scene, "2")];
  assertEquals(keyed.map(({ closed }) => closed), [false, false]);
  // A connected stranger may connect again, which replaces its older connection.
  const again = await comes(scene, "stranger 1");
  assertEquals([strangers[1]!.closed, again.closed], [true, false]);
  // A device that greets in dialect 2 gets the reason.
  const told = await scene.knock(`${helloLine({ id: "stranger 9" })}\n`);
  assertEquals([told.finished, told.written], [true, "\x0406\n"]);
  await leave(scene, again);
  assertEquals((await comes(scene, "stranger 9")).closed, false);
});

Deno.test("strangers do not keep out a device with a key that greets at the same time", async () => {
  await using scene = await ManualServer.start({ keys: [["1", KEY]], limits: { connections: 5 } });
  for (let n = 0; n < 2; n++) await comes(scene, `stranger ${n}`);
  const hello = helloLine({ suite: "02" });
  const socket = await scene.knock(`${hello}\n`);
  for (let n = 0; n < 2; n++) await scene.knock("half");
  await scene.says(socket, proveLine(parseKey("1", KEY), hello, socket.written.trimEnd()));
  assertEquals(socket.closed, false);
  assert(scene.log.includes("connected 1"), scene.log.join());
});

Deno.test("without keys strangers can use all connections", async () => {
  await using scene = await ManualServer.start({ limits: { connections: 4 } });
  const sockets = [];
  for (let n = 0; n < 4; n++) sockets.push(await comes(scene, `${n}`));
  assertEquals(sockets.map(({ closed }) => closed), Array(4).fill(false));
});

Deno.test("a stranger that takes the id of a stock device does not get its place", async () => {
  await using scene = await ManualServer.start({ stock: ["1"], limits: { connections: 3 } });
  const [stranger, other, stock] = [
    await comes(scene, "a"),
    await comes(scene, "b"),
    await comes(scene, "1"),
  ];
  assertEquals([stranger!.closed, other!.closed, stock!.closed], [false, true, false]);
});

Deno.test("when other devices get keys, strangers beyond their share are disconnected", async () => {
  await using scene = await ManualServer.start({ keys: [["1", KEY]], limits: { connections: 9 } });
  const strangers = [];
  for (let n = 0; n < 4; n++) strangers.push(await comes(scene, `${n + 10}`));
  scene.server.setKeys([["1", KEY], ["2", KEY], ["3", KEY], ["10", KEY]]);
  await scene.platform.turn();
  // The first has a key now, which its connection has not proved; there is room for two of the others.
  assertEquals(strangers.map(({ closed }) => closed), [true, true, false, false]);
  scene.server.setKeys([["1", KEY]]);
  assertEquals((await comes(scene, "10")).closed, false);
});

Deno.test("a stranger that gets a key frees a stranger's place, and needs one again when the key is revoked", async () => {
  await using scene = await ManualServer.start({ keys: [["1", KEY]], limits: { devices: 2 } });
  for (const id of ["10", "11"]) await comes(scene, id);
  assertEquals((await comes(scene, "12")).closed, true);
  scene.server.setKeys([["1", KEY], ["10", KEY]]);
  await scene.platform.turn();
  assertEquals((await comes(scene, "12")).closed, false);
  scene.server.setKeys([["1", KEY]]);
  await scene.platform.turn();
  await leave(scene, await comes(scene, "10"));
  assertEquals((await comes(scene, "13")).closed, true);
  assertEquals(scene.log.at(-1), "refused TOO_MANY_DEVICES");
});

Deno.test("a new stranger gets the place of the one that has been away longest", async () => {
  const store = new MemoryStore();
  await using scene = await ManualServer.start({
    keys: [["keyed", KEY]],
    store,
    limits: { devices: 2 },
  });
  const [first, second] = [await comes(scene, "first"), await comes(scene, "second")];
  await leave(scene, await proves(scene, "keyed"), first!);
  await scene.platform.advance(10);
  await leave(scene, second!);
  await scene.platform.advance(HOUR - 20);
  assertEquals((await comes(scene, "early")).closed, true);
  assertEquals(scene.log.at(-1), "refused TOO_MANY_DEVICES");
  await scene.platform.advance(15);
  const old = await scene.server.device("first");
  const waits = assertRejects(() => old.readline(), LocalError);
  const third = await comes(scene, "third");
  assertEquals((await waits).code, "FORGOTTEN");
  assertEquals(scene.log.slice(-2), ["connected third", "forgotten first"]);
  assertEquals(known(scene), ["second", "keyed", "third"]);
  assertEquals((await store.list()).map(({ id }) => id).sort(), ["keyed", "second", "third"]);
  // It comes back as a new device as soon as there is room.
  await scene.platform.advance(10);
  assertEquals((await comes(scene, "first")).closed, false);
  assertEquals(known(scene), ["keyed", "third", "first"]);
  assertEquals((await scene.server.device("first")).connects, 1);
  assertEquals(third.closed, false);
});

Deno.test("a stranger for which a message is written at the last moment is not forgotten", async () => {
  await using scene = await ManualServer.start({ limits: { devices: 1 } });
  await leave(scene, await comes(scene, "old"));
  await scene.platform.advance(HOUR + 1);
  const old = await scene.server.device("old");
  const codes: string[] = [];
  scene.server.events.subscribe((it) => {
    if (it.event !== "connected" || it.device !== "new") return;
    old.write("x").catch(({ code }) => codes.push(code));
  });
  const fresh = await comes(scene, "new");
  assertEquals([known(scene), old.outbox, codes], [["old", "new"], 1, []]);
  // Without that message it makes room like all others.
  const cleared = old.clear();
  await leave(scene, fresh);
  await cleared;
  assertEquals(codes, ["CLEARED"]);
  await scene.platform.advance(HOUR + 1);
  await comes(scene, "third");
  assertEquals(known(scene), ["new", "third"]);
});

Deno.test("a device with a key has a place of its own, and takes no stranger's", async () => {
  await using scene = await ManualServer.start({ keys: [["keyed", KEY]], limits: { devices: 1 } });
  await leave(scene, await comes(scene, "old"));
  await scene.platform.advance(HOUR + 1);
  await proves(scene, "keyed");
  assertEquals(known(scene), ["old", "keyed"]);
});

Deno.test("a stranger that is connected, or has waiting messages, is not forgotten", async () => {
  await using scene = await ManualServer.start({ limits: { devices: 3 } });
  const [here, says, waits] = [
    await comes(scene, "here"),
    await comes(scene, "says"),
    await comes(scene, "waits"),
  ];
  await scene.says(says!, "00not processed\n");
  await leave(scene, says!, waits!);
  const written = (await scene.server.device("waits")).write("not there yet");
  const lost = assertRejects(() => written);
  here!.gives("\n");
  await scene.platform.turn();
  for (let waited = 0; waited <= HOUR; waited += TIMEOUT / 2) {
    here!.gives("\n");
    await scene.platform.advance(TIMEOUT / 2);
    if (waited > 10 * TIMEOUT) waited = Math.max(waited, HOUR - 2 * TIMEOUT);
  }
  await scene.platform.advance(1);
  const device = await scene.server.device("says");
  assertEquals((await comes(scene, "new")).closed, true);
  assertEquals(await device.readline(), "not processed");
  const more = assertRejects(() => device.readline());
  await scene.platform.turn();
  await scene.platform.advance(HOUR);
  assertEquals((await comes(scene, "new")).closed, false);
  await more;
  assertEquals(known(scene), ["here", "waits", "new"]);
  await scene.server.close();
  await lost;
});

Deno.test("the dead letters of a forgotten stranger are lost, and the event says so", async () => {
  const app = async (device: Device) => {
    for (;;) await device.consume(() => Promise.reject(new Error("it cannot be")));
  };
  const limits = { devices: 1, attempts: 1 };
  await using scene = await ManualServer.start({ app, deadLetters: true, limits });
  const said: string[] = [];
  scene.server.events.subscribe((it) => it.event === "forgotten" && said.push(it.message));
  const socket = await comes(scene, "old");
  await scene.says(socket, "00bad\n01worse\n");
  const device = await scene.server.device("old");
  for (let n = 0; device.deadLetters.length < 2 && n < 20; n++) await scene.platform.advance(1000);
  await leave(scene, socket);
  await scene.platform.advance(HOUR + 1);
  assertEquals((await comes(scene, "new")).closed, false);
  assertEquals(said, [
    "it was away for a long time, and others needed the room; 2 dead letters are lost",
  ]);
});

Deno.test("a stranger that comes back before it is forgotten stays, but needs a place like a new one", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store, limits: { devices: 1, forgetAfter: 1 } });
  await leave(scene, await comes(scene, "old"));
  await scene.platform.advance(10);
  store.works = false;
  const fresh = await comes(scene, "new"); // the store fails: no device is forgotten yet
  assertEquals([fresh.closed, known(scene)], [false, ["old", "new"]]);
  const back = await comes(scene, "old");
  assertEquals([back.closed, scene.log.at(-1)], [true, "refused TOO_MANY_DEVICES"]);
  await leave(scene, fresh);
  await scene.platform.advance(10);
  const stays = await comes(scene, "old");
  assertEquals(stays.closed, false);
  store.works = true;
  await scene.platform.advance(1000);
  assertEquals(known(scene), ["old"]);
  await scene.says(stays, "00text\n");
  assertEquals(stays.written.trim(), "00");
});

Deno.test("a device that is forgotten during its greeting must greet again", async () => {
  await using scene = await ManualServer.start();
  await leave(scene, await comes(scene, "1"));
  const socket = await scene.knock(`${helloLine()}\n`);
  assert(socket.written.startsWith("\x02"));
  await scene.forgets("1");
  assertEquals([socket.closed, scene.log.at(-1)], [true, "forgotten 1"]);
  const again = await scene.knock(`${helloLine()}\n`);
  await scene.says(again, "00hello\n");
  assertEquals((await scene.server.device("1")).connects, 1);
});

Deno.test("a device that is forgotten is read from the store again when it connects", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const hello = `${helloLine()}\n`;
  const [first, second] = [await scene.knock(hello), await scene.knock(hello)]; // both have its state from the store
  await scene.says(first!, "\n");
  const go = store.hold();
  const forgotten = scene.server.forget("1");
  await scene.platform.turn();
  const third = await scene.knock(hello); // it is handled after the commit
  go();
  await scene.platform.turn();
  await forgotten;
  assertEquals([first!.closed, second!.closed, third.closed], [true, true, false]);
  await scene.says(third, "00kept\n");
  assertEquals(await store.list(), [{ id: "1", inbox: 1, outbox: 0 }]);
});
