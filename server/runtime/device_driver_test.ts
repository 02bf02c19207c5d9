import { assert, assertEquals, assertRejects } from "@std/assert";
import { helloLine, parseWelcome } from "../../tests/support/greeting.ts";
import { ManualServer, TIMEOUT } from "../../tests/support/manual_server.ts";
import { Scene } from "../../tests/support/scene.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { until } from "../../tests/support/wait.ts";
import type { Device } from "../device.ts";
import { LocalError } from "../protocol/errors.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Batch } from "../store/store.ts";

Deno.test("an ack for a message that found room during a commit waits for the next commit", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store, limits: { inbox: 1 } });
  const socket = await scene.knock("1\n");
  const device = await scene.server.device("1");
  const read = [device.readline(), device.readline()];
  socket.gives("00a\n01b\n"); // b finds the inbox full
  const commit = store.commit.bind(store);
  let release = () => {};
  store.commit = (batch) => {
    store.commit = commit;
    const first = commit(batch);
    release = store.hold(); // the next commit, with b, waits for this
    return first;
  };
  await scene.platform.turn();
  assertEquals(await read[0], "a");
  assertEquals(
    socket.lines,
    ["00"],
    "b was accepted when a had been read, but is not safe yet",
  );
  release();
  await scene.platform.turn();
  assertEquals([await read[1], socket.lines], ["b", ["00", "01"]]);
});

Deno.test("a message that waited for room on an old connection is received once, on the new one", async () => {
  await using scene = await ManualServer.start({ limits: { inbox: 1 } });
  const hello = (rxEpoch: number) => `${helloLine({ id: "1", txEpoch: 7, rxEpoch })}\n`;
  const old = await scene.knock(hello(0));
  await scene.says(old, "\n00a\n01b\n");
  const device = await scene.server.device("1");
  assertEquals(old.lines.slice(1), ["00"], "b waits for room");
  const socket = await scene.knock(hello(parseWelcome(old.lines[0]!).txEpoch));
  assertEquals(parseWelcome(socket.lines[0]!).rxNext, 1);
  await scene.says(socket, "\n01b\n02c\n");
  assertEquals(old.closed, true);
  const read: string[] = [];
  for (let n = 0; n < 4; n++) {
    void device.readline().then((text) => read.push(text), () => {});
    await scene.platform.turn();
  }
  assertEquals(read, ["a", "b", "c"]);
  assert(device.connected, "the new connection sent what the welcome asked for, and nothing twice");
});

Deno.test("a message without qos is not sent again on the next connection", async () => {
  await using scene = await ManualServer.start();
  const old = await scene.knock(`${helloLine({ id: "1", txEpoch: 7 })}\n`);
  await scene.says(old, "\n");
  const device = await scene.server.device("1");
  old.takesNothing();
  await device.write("now or never", { qos: false });
  await scene.platform.turn();
  const { txEpoch } = parseWelcome(old.lines[0]!);
  const hello = helloLine({ id: "1", txEpoch: 7, rxEpoch: txEpoch, rxNext: 0 });
  const socket = await scene.knock(`${hello}\n`);
  await scene.says(socket, "\n");
  assertEquals(socket.lines.slice(1), ["00\0"], "an empty message takes its number");
});

Deno.test("while a commit is under way a newer connection, a write and a reader wait", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const old = await scene.knock("1\n");
  const device = await scene.server.device("1");
  await scene.says(old, "\n");
  const release = store.hold();
  await scene.says(old, "00a\n");
  let read: string | undefined;
  void device.readline().then((text) => read = text);
  const written = device.write("text");
  const socket = await scene.knock("1\n\n");
  assertEquals([device.connects, device.outbox, read], [1, 0, undefined]);
  assertEquals([old.lines, socket.lines], [[], []]);
  release();
  await scene.platform.turn();
  assertEquals([device.connects, device.outbox, read, old.closed], [2, 1, "a", true]);
  assertEquals(socket.lines, ["00text"]);
  await scene.says(socket, "00\n");
  assertEquals([await written, device.counts.delivered], [true, 1]);
});

Deno.test("a message that finds room later is acknowledged when it is safe", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store, limits: { totalText: 250 } });
  const [other, socket] = [await scene.knock("2\n\n"), await scene.knock("1\n\n")];
  await scene.says(other, "00x\n01y\n");
  await scene.says(socket, "00a\n01b\n");
  assertEquals(socket.lines, ["00"], "there is no room for b");
  const reader = await scene.server.device("2");
  for (const text of ["x", "y"]) assertEquals(await reader.readline(), text);
  const last = reader.readline().catch(() => {}); // all are processed
  await scene.platform.turn();
  const release = store.hold();
  await scene.platform.advance(TIMEOUT / 2);
  assertEquals([socket.lines, (await scene.server.device("1")).inbox], [["00"], 2]);
  release();
  await scene.platform.turn();
  assertEquals(socket.lines, ["00", "01"]);
  await scene.server.close();
  await last;
});

Deno.test("a device is disconnected when messages that wait in both directions are dropped", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock("1\n\n");
  await scene.says(socket, "00a\n");
  const device = await scene.server.device("1");
  const lost = assertRejects(() => device.write("x"), LocalError);
  await scene.platform.turn();
  const cleared = device.clear();
  await scene.platform.turn();
  assertEquals(await cleared, { inbox: 1, outbox: 1 });
  assertEquals([(await lost).code, socket.closed], ["CLEARED", true], "an ack may be on its way");
});

Deno.test("consume continues with the next message when the previous one is safe", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const socket = await scene.knock("1\n");
  await scene.says(socket, "00a\n01b\n");
  const device = await scene.server.device("1");
  const seen: string[] = [];
  const note = (line: string) => void seen.push(line);
  const release = store.hold();
  const consumed = [device.consume(note), device.consume(note)];
  await scene.platform.turn();
  assertEquals(seen, ["a"]);
  release();
  await scene.platform.turn();
  await Promise.all(consumed);
  assertEquals([seen, device.inbox, device.counts.processed], [["a", "b"], 0, 2]);
});

Deno.test("a write that is given up before it was accepted is not sent", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const socket = await scene.knock("1\n");
  const device = await scene.server.device("1");
  const release = store.hold();
  await scene.says(socket, "00a\n");
  const stop = new AbortController();
  const written = device.write("text", { signal: stop.signal });
  stop.abort(new Error("no matter"));
  await assertRejects(() => written, Error, "no matter");
  release();
  await scene.platform.turn();
  assertEquals([device.outbox, socket.lines], [0, ["00"]]);
});

Deno.test("a device in the store is available at once, with its state, before it connects", async () => {
  const store = new SlowStore();
  {
    await using scene = await ManualServer.start({ store });
    const socket = await scene.knock("1\n\n");
    await scene.says(socket, "00a\n");
    void (await scene.server.device("1")).write("text").catch(() => {});
    await scene.platform.turn();
  }
  await using scene = await ManualServer.start({ store });
  const [device] = scene.server.devices;
  assert(device === await scene.server.device("1"));
  const { id, connected, connects, inbox, outbox } = device;
  assertEquals([id, connected, connects, inbox, outbox], ["1", false, 1, 1, 1]);
});

Deno.test("a device's message counts are reported once a second while they change", async () => {
  await using scene = await ManualServer.start();
  const told: unknown[] = [];
  scene.server.events.subscribe((event) => event.event === "messages" && told.push(event));
  const socket = await scene.knock("1\n\n");
  for (let n = 0; n < 5; n++) await scene.says(socket, `0${n}text ${n}\n`);
  await scene.platform.advance(1000);
  const counts = { received: 5, processed: 0, dead: 0, written: 0, delivered: 0, expired: 0 };
  assertEquals(told, [{ event: "messages", device: "1", ...counts }]);
  await scene.says(socket, "\n");
  await scene.platform.advance(TIMEOUT / 2);
  assertEquals(told.length, 1, "no count has changed");
});

Deno.test("a device that another server has taken over is dropped, no other is, and it may come back", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const [first, second] = [await scene.knock("1\n\n"), await scene.knock("2\n\n")];
  await scene.platform.turn();
  const device = await scene.server.device("1");
  const reading = device.readline();
  reading.catch(() => {});
  await store.acquire("1");
  await scene.says(first, "00a\n");
  await scene.says(second, "00b\n");
  assertEquals([first.closed, second.closed, first.lines], [true, false, []]);
  assertEquals((await assertRejects(() => reading, LocalError)).code, "FENCED");
  assert(scene.log.includes("warning 1 FENCED"));
  assertEquals(second.lines, ["00"]);
  const again = await scene.knock("1\n\n");
  await scene.says(again, "00a\n");
  assertEquals(again.lines, ["00"]);
  assertEquals(await (await scene.server.device("1")).readline(), "a");
});

Deno.test("a commit that finds that another server has the device refuses every operation on it", async () => {
  const doings: [string, (scene: ManualServer, device: Device) => Promise<unknown>][] = [
    ["consume", (_, device) => device.consume(() => {})],
    [
      "a message to it, and another",
      ({ server }) => server.transaction((tx) => ["2", "1"].forEach((id) => tx.write(id, "x"))),
    ],
    ["forget", ({ server }) => server.forget("1")],
  ];
  for (const [what, does] of doings) {
    const store = new SlowStore();
    await using scene = await ManualServer.start({ store });
    const [socket] = [await scene.knock("1\n\n"), await scene.knock("2\n\n")];
    await scene.says(socket, "00a\n");
    const device = await scene.server.device("1");
    await store.acquire("1");
    let code = "nothing";
    does(scene, device).then(() => code = "done", (error) => code = error.code);
    await scene.platform.turn();
    await scene.platform.turn();
    assertEquals([what, code], [what, "FENCED"]);
  }
});

Deno.test("forgetting a device rejects if the store still fails when the server closes", async () => {
  const store = new SlowStore();
  const scene = await ManualServer.start({ store });
  await scene.knock("1\n\n");
  store.works = false;
  let code = "nothing";
  scene.server.forget("1").then(() => code = "done", (error) => code = error.code);
  await scene.platform.turn();
  await assertRejects(() => scene.server.close(), LocalError, "no room left");
  await scene.platform.turn();
  assertEquals(code, "STORE_FAILED");
});

Deno.test("a boot is reported in dialect 1 too", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock("1\n\n");
  await scene.says(socket, "00a\n01b\n00a\n");
  assertEquals(scene.log.filter((entry) => entry === "booted 1").length, 1);
});

Deno.test("since is the time at which a device connected or disconnected", async () => {
  await using scene = await ManualServer.start();
  const begun = scene.platform.date();
  const { server, platform } = scene;
  const socket = await scene.knock("1\n\n");
  const device = await server.device("1");
  const since = () => device.since.getTime() - begun;
  assertEquals([since(), device.connected], [0, true]);
  await platform.advance(500);
  await scene.says(socket, "\n");
  socket.fails(new Error("reset"));
  await platform.turn();
  assertEquals([since(), device.connected], [500, false]);
  await platform.advance(700);
  await scene.knock("1\n\n");
  assertEquals([since(), device.connected], [1200, true]);
});

Deno.test("ready resolves at once for a connected device, and for all callers when the device next connects", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock("1\n\n");
  const device = await scene.server.device("1");
  await device.ready();
  socket.fails(new Error("reset"));
  await scene.platform.turn();
  let told = 0;
  const waiting = [device.ready(), device.ready()].map((it) => it.then(() => void told++));
  await scene.platform.turn();
  assertEquals(told, 0);
  await scene.knock("1\n\n");
  await Promise.all(waiting);
  assertEquals(told, 2);
});

Deno.test("a full inbox is reported once, and again only after it has been empty", async () => {
  await using scene = await ManualServer.start({ limits: { inbox: 2 } });
  const socket = await scene.knock("1\n\n");
  const device = await scene.server.device("1");
  const said = () => scene.log.filter((entry) => entry === "warning 1 INBOX_FULL").length;
  await scene.says(socket, "00a\n");
  assertEquals(said(), 0);
  await scene.says(socket, "01b\n");
  assertEquals(said(), 1);
  await device.readline();
  const b = device.readline(); // a is processed
  await scene.platform.turn();
  await scene.says(socket, "02c\n");
  assertEquals([await b, device.inbox, said()], ["b", 2, 1]);
  const c = device.readline();
  const next = device.readline(); // all are processed
  await scene.platform.turn();
  assertEquals([await c, device.inbox], ["c", 0]);
  await scene.says(socket, "03d\n");
  await next;
  await scene.says(socket, "04e\n");
  assertEquals([device.inbox, said()], [2, 2]);
});

Deno.test("an inbox that was full when the server was closed is reported again by the next server", async () => {
  const store = new MemoryStore();
  const limits = { inbox: 1 };
  {
    await using scene = await ManualServer.start({ store, limits });
    await scene.says(await scene.knock("1\n\n"), "00a\n");
  }
  await using scene = await ManualServer.start({ store, limits });
  await scene.knock("1\n\n");
  assertEquals(scene.log.filter((entry) => entry.startsWith("warning")), ["warning 1 INBOX_FULL"]);
});

Deno.test("messages of the turn in which their device is forgotten are neither acknowledged nor sent", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock("1\n\n");
  const device = await scene.server.device("1");
  const codes = Promise.all([device.readline(), device.write("never")].map(async (promise) => {
    return (await assertRejects(() => promise, LocalError)).code;
  }));
  socket.gives("00a\n");
  await Promise.all([scene.server.forget("1"), scene.platform.turn()]);
  assertEquals(await codes, ["FORGOTTEN", "FORGOTTEN"]);
  assertEquals(socket.lines, [], "the store has neither message");
});

Deno.test("operations on other devices succeed in the commit that loses one device", async () => {
  const store = new MemoryStore();
  await using scene = await ManualServer.start({ store });
  for (const id of ["1", "2", "3"]) await scene.knock(`${id}\n\n`);
  const { server } = scene;
  const kept = await server.device("2");
  await store.acquire("1"); // another server has taken it
  const codes = ["1", "2"].map(async (id) => {
    const written = server.transaction((tx) => tx.write(id, "x"));
    return await written.then(() => "safe", ({ code }) => code);
  });
  const forgotten = server.forget("3");
  await new Promise((resolve) => setImmediate(resolve)); // all of it is queued for the commit
  await scene.platform.turn();
  assertEquals([await Promise.all(codes), kept.outbox], [["FENCED", "safe"], 1]);
  assertEquals(await forgotten, { inbox: 0, outbox: 0 });
  assertEquals(server.devices, [kept]);
});

Deno.test("messages that arrive while the server closes obey the same limits as before", async () => {
  const store = new SlowStore();
  const scene = await ManualServer.start({ store, limits: { totalText: 1000 } });
  const socket = await scene.knock("1\n\n");
  const release = store.hold();
  await scene.says(socket, "00first\n"); // its commit is held
  const many = Array.from({ length: 50 }, (_, n) => `${(n + 1).toString(16).padStart(2, "0")}x\n`);
  await scene.says(socket, many.join(""));
  const closing = scene.server.close();
  release();
  await scene.platform.turn();
  await closing;
  const [{ inbox = 0 } = {}] = await store.list();
  assert(inbox > 5 && inbox < 15, `${inbox} messages of 101 units each`);
});

Deno.test("waiting messages that are read one after the other share a commit, also in the memory store", async () => {
  let commits = 0;
  class CountingStore extends MemoryStore {
    override commit(batch: Batch) {
      commits++;
      return super.commit(batch);
    }
  }
  await using scene = await Scene.start({ store: new CountingStore() });
  const [device, peer] = await scene.device("1");
  await peer.say("00a\n01b\n02c\n03d\n");
  await peer.hears("03");
  await until(() => device.inbox === 4);
  await new Promise((resolve) => setImmediate(resolve));
  commits = 0;
  const read: string[] = [];
  for (let n = 0; n < 4; n++) read.push(await device.readline());
  const next = device.readline().catch(() => {}); // all are processed
  await until(() => commits > 0);
  assertEquals([read, device.counts.processed, commits], [["a", "b", "c", "d"], 4, 1]);
  await scene.server.close();
  await next;
});
