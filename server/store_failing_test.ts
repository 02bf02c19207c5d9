/** A server whose store cannot write for a while: a full disk, for example. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { helloLine } from "../tests/support/greeting.ts";
import type { RawPeer } from "../tests/support/raw.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { type Batch, type Device, LocalError, MemoryStore } from "./mod.ts";

/** Fails as long as the test says so. */
class FailingStore extends MemoryStore {
  override readonly gathers = true;
  fails = false;
  /** Devices that were asked for. */
  readonly asked = new Set<string>();

  override acquire(id: string) {
    this.asked.add(id);
    return super.acquire(id);
  }

  override commit(batch: Batch) {
    if (this.fails) {
      return Promise.reject(new LocalError("STORE_FAILED", "no room left on the disk"));
    }
    return super.commit(batch);
  }
}

/** A device that is connected in a dialect. */
async function meet(scene: Scene, dialect: 1 | 2): Promise<[Device, RawPeer]> {
  if (dialect === 1) return await scene.device("1");
  const peer = await scene.dial(`${helloLine()}\n`);
  await until(() => peer.lines.length > 0);
  await peer.say("\n");
  const device = await scene.server.device("1");
  await until(() => device.connected);
  peer.heard = "";
  return [device, peer];
}

for (const dialect of [1, 2] as const) {
  Deno.test(`dialect ${dialect}: while the store fails nothing is acknowledged or shown, and all of it comes when it works again`, async () => {
    const store = new FailingStore();
    await using scene = await Scene.start({ store, timeout: 1000 });
    const [device, peer] = await meet(scene, dialect);
    peer.keepAlive(200);
    store.fails = true;
    await peer.say("00not safe\n");
    assertEquals((await scene.logs("store")).code, "STORE_FAILED");
    const read = device.readline();
    const before = peer.heard.length;
    await until(() => peer.heard.length > before + 2, { what: "keepalives" });
    assertEquals(peer.lines, [], "nothing but keepalives goes out");
    assertEquals(await Promise.race([read, Promise.resolve("nothing")]), "nothing");
    assertEquals(device.connected, true);

    const error = await assertRejects(() => device.write("refused"), LocalError);
    assertEquals(error.code, "STORE_FAILED");

    store.fails = false;
    assertEquals(await read, "not safe");
    await peer.hears("00");
    assertEquals(scene.codes("store"), ["STORE_FAILED", undefined]);
    const written = device.write("accepted again");
    await peer.hears("00accepted again");
    await peer.say("00\n");
    assertEquals(await written, true);
    assertEquals(peer.lines.includes("00refused"), false);
  });

  Deno.test(`dialect ${dialect}: what was written before the store began to fail goes out when it is safe`, async () => {
    const store = new FailingStore();
    await using scene = await Scene.start({ store });
    const [device, peer] = await meet(scene, dialect);
    store.fails = true;
    const written = device.write("not safe yet");
    await scene.logs("store", "STORE_FAILED");
    assertEquals(peer.lines, []);
    store.fails = false;
    await peer.hears("00not safe yet");
    await peer.say("00\n");
    assertEquals(await written, true);
  });
}

Deno.test("while a store fails no device is welcomed, because a welcome says what is safe", async () => {
  const store = new FailingStore();
  await using scene = await Scene.start({ store });
  const [, peer] = await meet(scene, 2);
  store.fails = true;
  await peer.say("00not safe\n");
  await scene.logs("store", "STORE_FAILED");
  const again = await scene.dial(`${helloLine()}\n`);
  const other = await scene.dial(`${helloLine({ id: "2" })}\n`);
  await until(() => store.asked.has("2"), { what: "the hello to be read" });
  assertEquals([again.heard, other.heard], ["", ""]);
  store.fails = false;
  await until(() => again.lines.length > 0 && other.lines.length > 0);
});

Deno.test("while a store fails, a peer that says hello and goes leaves nothing behind", async () => {
  const store = new FailingStore();
  await using scene = await Scene.start({ store, limits: { connections: 20 } });
  const [, peer] = await meet(scene, 2);
  store.fails = true;
  await peer.say("00not safe\n");
  await scene.logs("store", "STORE_FAILED");
  for (let round = 0; round < 10; round++) {
    const peers = [];
    for (let i = 0; i < 10; i++) {
      const name = `${round} ${i}`;
      peers.push(await scene.dial(`${helloLine({ id: i % 2 ? "1" : name })}\n`));
      if (i % 2 === 0) await until(() => store.asked.has(name), { what: "the hello to be read" });
    }
    assert(scene.server.waiting <= 22, `${scene.server.waiting} wait`);
    for (const each of peers) await each[Symbol.asyncDispose]();
  }
  await until(() => scene.server.waiting <= 1);
  store.fails = false;
  await until(() => scene.server.waiting === 0);
});

Deno.test("nothing is lost when a device gives up on a server whose store fails", async () => {
  const store = new FailingStore();
  await using scene = await Scene.start({ store });
  const [device, peer] = await meet(scene, 2);
  store.fails = true;
  await peer.say("00said once\n");
  await scene.logs("store", "STORE_FAILED");
  peer.close();
  await until(() => !device.connected);
  store.fails = false;
  const [, back] = await meet(scene, 2);
  assertEquals(await device.readline(), "said once");
  await back.say("01said next\n");
  assertEquals(await device.readline(), "said next");
});

Deno.test("closing a server whose store still fails rejects with STORE_FAILED, and leaves no connection", async () => {
  const store = new FailingStore();
  const scene = await Scene.start({ store });
  const [, peer] = await meet(scene, 2);
  store.fails = true;
  await peer.say("00never safe\n");
  await scene.logs("store", "STORE_FAILED");
  const error = await assertRejects(() => scene[Symbol.asyncDispose](), LocalError);
  assertEquals(error.code, "STORE_FAILED");
  await peer.end();
});
