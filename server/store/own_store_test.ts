/** A custom store that uses the public API only, and can be slow. */
import { assertEquals, assertRejects } from "@std/assert";
import { Scene } from "../../tests/support/scene.ts";
import { describeStore } from "../../tests/support/store_conformance.ts";
import { StoreDriver } from "../../tests/support/store_driver.ts";
import { until } from "../../tests/support/wait.ts";
import {
  type Acquired,
  type Batch,
  type DeviceState,
  FencedError,
  type KnownDevice,
  LocalError,
  type Store,
  type Work,
} from "../mod.ts";

/** Where the store below keeps devices. It outlives the store, and the test can make it wait or fail. */
class Disk {
  readonly devices = new Map<string, string>();
  works = true;
  /** Every commit waits for this. */
  written: Promise<void> = Promise.resolve();

  /** Commits wait from now on. @returns lets them go on */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.written = promise;
    return resolve;
  }
}

/** Keeps each device as JSON, and has no database. */
class JsonStore implements Store {
  readonly gathers = true;
  #tokens = new Map<string, number>();

  constructor(readonly disk: Disk) {}

  // deno-lint-ignore require-await -- so that an error rejects the promise
  async list(): Promise<KnownDevice[]> {
    return Array.from(this.disk.devices, ([id, json]) => {
      const { inbox, outbox }: DeviceState = JSON.parse(json);
      return { id, inbox: inbox.length, outbox: outbox.length };
    });
  }

  async acquire(id: string): Promise<Acquired> {
    const token = (this.#tokens.get(id) ?? 0) + 1;
    this.#tokens.set(id, token);
    await this.disk.written;
    const json = this.disk.devices.get(id);
    return { state: json === undefined ? undefined : JSON.parse(json), token };
  }

  async commit({ changes }: Batch): Promise<ReadonlyMap<Work, unknown>> {
    const refused = new Map<Work, unknown>();
    const rows: [id: string, json: string | undefined][] = [];
    for (const { id, token, state, removed } of changes(refused)) {
      if (token !== this.#tokens.get(id)) throw new FencedError(id);
      rows.push([id, removed ? undefined : JSON.stringify(state)]);
    }
    await this.disk.written;
    if (!this.disk.works) throw new LocalError("STORE_FAILED", "no room left");
    for (const [id, json] of rows) {
      if (json === undefined) this.disk.devices.delete(id);
      else this.disk.devices.set(id, json);
    }
    return refused;
  }

  async close(): Promise<void> {
    await this.disk.written;
  }
}

describeStore("custom store", () => {
  const disk = new Disk();
  return {
    open: () => new JsonStore(disk),
    breaks() {
      disk.works = false;
      return () => disk.works = true;
    },
  };
}, { canFail: true });

Deno.test("custom store: a change is safe when its commit resolves", async () => {
  const disk = new Disk();
  const driver = await StoreDriver.on(new JsonStore(disk));
  const record = await driver.begin("1");
  record.receive("a");
  const go = disk.hold();
  const committed = driver.commit();
  assertEquals([record.safe, disk.devices.size], [0, 0]);
  go();
  await committed;
  assertEquals([record.safe, disk.devices.size], [1, 1]);
});

Deno.test("custom store: a server acknowledges and shows nothing before it is safe", async () => {
  const disk = new Disk();
  {
    await using scene = await Scene.start({ store: new JsonStore(disk) });
    const [device, peer] = await scene.device("1");
    const go = disk.hold();
    const read = device.readline();
    await peer.say("00hello\n");
    await peer.say("01again\n");
    const written = device.write("on");
    written.catch(() => {}); // CLOSED, later
    assertEquals(await Promise.race([read, Promise.resolve("nothing")]), "nothing");
    await new Promise((resolve) => setTimeout(resolve, 30));
    assertEquals(peer.lines, []);
    go();
    assertEquals(await read, "hello");
    await peer.hears("00");
    await until(() => peer.lines.includes("01") && peer.lines.includes("00on"));
  }
  // "hello" was read, but not processed: nobody has asked for the next one.
  await using scene = await Scene.start({ store: new JsonStore(disk) });
  const device = await scene.server.device("1");
  assertEquals([await device.readline(), await device.readline()], ["hello", "again"]);
  const peer = await scene.dial("1\n\n");
  await peer.hears("00on");
});

Deno.test("custom store: while it fails, a server refuses writes, and loses nothing", async () => {
  const disk = new Disk();
  const scene = await Scene.start({ store: new JsonStore(disk) });
  const [device, peer] = await scene.device("1");
  disk.works = false;
  await peer.say("00hello\n");
  assertEquals((await scene.logs("store")).code, "STORE_FAILED");
  assertEquals((await assertRejects(() => device.write("x"), LocalError)).code, "STORE_FAILED");
  disk.works = true;
  assertEquals(await device.readline(), "hello");
  await peer.hears("00");
  await scene[Symbol.asyncDispose]();
});
