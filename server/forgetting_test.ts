/** Devices that are forgotten, or whose messages are dropped, while the server runs. */
import { assertEquals, assertRejects } from "@std/assert";
import { dial, greet } from "../tests/support/callers.ts";
import { helloLine, parseWelcome } from "../tests/support/greeting.ts";
import { ManualServer } from "../tests/support/manual_server.ts";
import { Scene } from "../tests/support/scene.ts";
import { SlowStore } from "../tests/support/slow_store.ts";
import { until } from "../tests/support/wait.ts";
import { LocalError, MemoryStore, Server, SqliteStore } from "./mod.ts";

/** The code that a promise is rejected with. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, LocalError)).code;
}

Deno.test("a device that is forgotten comes back as a new one, and nothing is left of it", async () => {
  const store = new MemoryStore();
  await using scene = await Scene.start({ store });
  const [device, peer] = await scene.device("1");
  const [other] = await scene.device("2");
  await peer.say("00hello\n01more\n");
  assertEquals(await device.readline(), "hello");
  const codes = [codeOf(device.write("never acknowledged"))];
  await until(() => device.inbox === 2);
  await scene.server.forget("1");
  codes.push(codeOf(device.readline()), codeOf(device.write("x")), codeOf(device.clear()));
  codes.push(codeOf(device.consume(() => {})));
  assertEquals(await Promise.all(codes), Array(5).fill("FORGOTTEN"));
  await peer.end();
  assertEquals([scene.server.devices, scene.server.known("1")], [[other], undefined]);
  assertEquals((await store.list()).map(({ id }) => id), ["2"]);
  assertEquals((await scene.logs("forgotten")).device, "1");
  assertEquals((await scene.logs("disconnected")).device, "1");
  const awaited = scene.server.device("1");
  const [again, back] = await scene.device("1");
  assertEquals([await awaited === again, again === device, again.connects], [true, false, 1]);
  await back.say("00hello\n");
  assertEquals(await again.readline(), "hello");
});

Deno.test("forgetting a device twice forgets no other one", async () => {
  await using scene = await Scene.start();
  const [, peer] = await scene.device("1");
  await Promise.all([scene.server.forget("1"), scene.server.forget("1")]);
  await peer.end();
  assertEquals(scene.log.filter(({ event }) => event === "forgotten").length, 1);
  const [again] = await scene.device("1");
  assertEquals(scene.server.devices, [again]);
});

Deno.test("a forgotten device's application ends, and is started again when the device comes back", async () => {
  const told: string[] = [];
  await using scene = await Scene.start({
    app: async (device) => {
      for await (const line of device) told.push(line);
      told.push("ended");
    },
  });
  const [, peer] = await scene.device("1");
  await peer.say("00a\n");
  await until(() => told.length === 1);
  await scene.server.forget("1");
  const [, back] = await scene.device("1");
  await back.say("00b\n");
  await until(() => told.length === 3);
  assertEquals(told, ["a", "ended", "b"]);
  assertEquals(scene.codes("app_failed"), []);
});

Deno.test("messages for a forgotten device take no room any more", async () => {
  await using scene = await Scene.start({ limits: { totalText: 1000 } });
  const [device, peer] = await scene.device("1");
  await peer.say(`00${"x".repeat(100)}\n01${"x".repeat(100)}\n`);
  await until(() => device.inbox === 2);
  const lost = Array.from({ length: 3 }, () => codeOf(device.write("x".repeat(100))));
  const [other] = await scene.device("2");
  const kept = [codeOf(other.write("first"))];
  assertEquals(await codeOf(other.write("second")), "OUTBOX_FULL");
  await scene.server.forget("1");
  assertEquals(await Promise.all(lost), Array(3).fill("FORGOTTEN"));
  kept.push(codeOf(other.write("second")));
  await until(() => other.outbox === 2);
  await other.clear();
  assertEquals(await Promise.all(kept), ["CLEARED", "CLEARED"]);
});

Deno.test("a device that nobody knows cannot be forgotten, nor one of a closed server", async () => {
  const scene = await Scene.start();
  assertEquals(await codeOf(scene.server.forget("1")), "UNKNOWN_DEVICE");
  await scene[Symbol.asyncDispose]();
  assertEquals(await codeOf(scene.server.forget("1")), "CLOSED");
});

Deno.test("no welcome counts a message that was not safe when its device was forgotten", async () => {
  await using scene = await ManualServer.start();
  const hello = `${helloLine({ id: "1" })}\n`;
  const first = await scene.knock(hello);
  await scene.says(first, "\n");
  const second = await scene.knock();
  // One commit for all of this: the message never is in the store.
  first.gives("00a\n");
  second.gives(hello);
  const forgotten = scene.server.forget("1");
  await scene.platform.turn();
  assertEquals(await forgotten, { inbox: 1, outbox: 0 });
  assertEquals([second.written, second.closed], ["", true]);
  assertEquals(scene.log.filter((entry) => entry.startsWith("refused")), [
    "refused STALE_GREETING",
  ]);
  const third = await scene.knock(hello);
  assertEquals(parseWelcome(third.written).rxNext, 0);
  await scene.says(third, "00a\n");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "a");
});

Deno.test("a client whose device was forgotten goes on, and its messages arrive", async () => {
  await using scene = await Scene.start();
  const [client] = dial(scene.server);
  await using _ = client;
  await client.write("before");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "before");
  await scene.server.forget("1");
  await client.write("after");
  const again = await scene.server.device("1");
  assertEquals(await again.readline(), "after");
  const written = again.write("to the client");
  assertEquals(await client.readline(), "to the client");
  await written;
});

Deno.test("waiting messages can be dropped, and both ends continue after them", async () => {
  const path = `${Deno.makeTempDirSync()}/holdfast.db`;
  {
    await using scene = await Scene.start({ store: path });
    const peer = await greet(scene, { txEpoch: 7 });
    await peer.say("00one\n01two\n02three\n");
    const device = await scene.server.device("1");
    const first = device.readline();
    const codes = [codeOf(device.write("lost")), codeOf(device.write("lost too"))];
    assertEquals(await first, "one");
    await peer.hears("02", "01lost too");
    assertEquals(await device.clear(), { inbox: 3, outbox: 2 });
    assertEquals(await Promise.all(codes), ["CLEARED", "CLEARED"]);
    assertEquals([device.inbox, device.outbox], [0, 0]);
    await peer.end();
    // The device has heard both messages, but the server does not know it.
    const { txEpoch } = parseWelcome(peer.lines[0]!);
    const back = await greet(scene, { txEpoch: 7, txFirst: 3, rxEpoch: txEpoch, rxNext: 2 });
    const { txFirst, rxNext } = parseWelcome(back.lines[0]!);
    assertEquals([txFirst, rxNext], [2, 3]);
    await back.say("03four\n");
    assertEquals(await device.readline(), "four", "and not what was dropped");
    const written = device.write("new");
    await back.hears("02new");
    await back.say("02\n");
    assertEquals(await written, true);
    assertEquals(await device.clear(), { inbox: 1, outbox: 0 });
    assertEquals(await device.clear(), { inbox: 0, outbox: 0 });
  }
  const store = new SqliteStore(path);
  assertEquals(await store.list(), [{ id: "1", inbox: 0, outbox: 0 }]);
  await store.close();
});

Deno.test("a full outbox of a device that is away has room again after it is cleared", async () => {
  await using scene = await Scene.start({ limits: { outbox: 2 } });
  const [device, peer] = await scene.device("1");
  peer.close();
  await until(() => !device.connected);
  const codes = [codeOf(device.write("a")), codeOf(device.write("b"))];
  assertEquals(await codeOf(device.write("c")), "OUTBOX_FULL");
  assertEquals(await device.clear(), { inbox: 0, outbox: 2 });
  await Promise.all(codes);
  const written = device.write("d");
  const [, back] = await scene.device("1");
  await back.hears("00d");
  await back.say("00\n");
  assertEquals(await written, true);
});

Deno.test("a message that consume is processing is completed before the others are dropped", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  await peer.say("00a\n01b\n");
  const { promise, resolve } = Promise.withResolvers<void>();
  const consumed = device.consume(() => promise);
  await until(() => device.inbox === 2);
  const cleared = device.clear();
  resolve();
  await consumed;
  assertEquals(await cleared, { inbox: 1, outbox: 0 });
  const [, back] = await scene.device("1");
  await back.say("02c\n");
  assertEquals(await device.readline(), "c");
});

Deno.test("closing the server rejects a waiting clear with CLOSED, and drops nothing", async () => {
  const scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  await peer.say("00a\n");
  const { promise, resolve } = Promise.withResolvers<void>();
  const consumed = codeOf(device.consume(() => promise));
  await until(() => device.inbox === 1);
  const cleared = codeOf(device.clear());
  await scene[Symbol.asyncDispose]();
  assertEquals(await cleared, "CLOSED");
  resolve();
  assertEquals([await consumed, device.inbox], ["CLOSED", 1]);
});

Deno.test("a transaction for a device that is forgotten before it is committed is refused", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const peer = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await peer.write(new TextEncoder().encode(`1\n\n`));
  await server.device("1");
  const written = server.transaction(async (tx) => {
    tx.write("1", "x");
    await server.forget("1");
  });
  assertEquals(await codeOf(written), "FORGOTTEN");
  peer.close();
});

Deno.test("no writer learns that a message was dropped before the drop is safe", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const device = await scene.away("1");
  let told = false;
  const fate = codeOf(device.write("a")).finally(() => told = true);
  await scene.platform.turn();
  const release = store.hold();
  const cleared = device.clear();
  await scene.platform.turn();
  assertEquals(told, false);
  release();
  await scene.platform.turn();
  assertEquals([await fate, await cleared], ["CLEARED", { inbox: 0, outbox: 1 }]);
});
