/** A server of a fleet, whose store says what the others do. */
import { assertEquals, assertRejects } from "@std/assert";
import { ManualServer } from "../../tests/support/manual_server.ts";
import type { ServerOptions } from "../mod.ts";
import type { Around, Beat, Fleet, Mail } from "../store/fleet.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Batch } from "../store/store.ts";

/** A store with a fleet in the hands of the test. */
class FleetStore extends MemoryStore {
  readonly tokens = new Map<string, number>();
  heard = () => {};
  next: Partial<Beat>[] = [];
  around: Partial<Around> = {};
  orphan: string | undefined;
  /** What became of mail and posts with the commits, in words. */
  readonly committed: string[] = [];

  readonly fleet: Fleet = {
    lease: 1000,
    sender: (number) => `me ${number}`,
    join: (heard) => {
      this.heard = heard;
      return Promise.resolve();
    },
    beat: () =>
      Promise.resolve({ lost: [], mail: [], answers: [], orphans: [], ...this.next.shift() }),
    look: (id, token) => {
      const isOurs = token !== undefined && this.tokens.get(id) === token;
      return Promise.resolve({ isOurs, state: undefined, looks: 0 });
    },
    adopt: (id) => id === this.orphan ? this.acquire(id) : Promise.resolve(undefined),
    read: () => Promise.resolve(new Map()),
    exchange: () =>
      Promise.resolve({ isAll: false, shown: [], servers: new Map([[2, "far"]]), ...this.around }),
    leave: () => Promise.resolve(),
  };

  override async acquire(id: string) {
    const acquired = await super.acquire(id);
    this.tokens.set(id, acquired.token);
    return acquired;
  }

  override async commit(batch: Batch) {
    for (const { posts = [] } of batch.works) {
      for (const { device, text } of posts) this.committed.push(`post ${device} ${text}`);
    }
    return await super.commit({
      ...batch,
      changes: (refused) => {
        const changes = [...batch.changes(refused)];
        for (const { mail } of changes) {
          for (const number of mail?.taken ?? []) this.committed.push(`taken ${number}`);
          for (const { to, text } of mail?.replies ?? []) this.committed.push(`${to} ${text}`);
        }
        return changes;
      },
    });
  }
}

class Rig implements AsyncDisposable {
  private constructor(readonly store: FleetStore, readonly scene: ManualServer) {}

  static async start(options: ServerOptions = {}, store = new FleetStore()): Promise<Rig> {
    return new Rig(store, await ManualServer.start({ ...options, store }));
  }

  async beat(beat: Partial<Beat>): Promise<void> {
    this.store.next.push(beat);
    this.store.heard();
    await this.scene.platform.turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scene[Symbol.asyncDispose]();
  }
}

const mail = (number: number, errand: object): Mail => (
  { number, device: "1", text: JSON.stringify(errand), age: 0, from: `7 ${number}` }
);

Deno.test("a message that another server has posted goes to the device, and the other one hears of the ack", async () => {
  await using rig = await Rig.start();
  const socket = await rig.scene.knock("1\n\n");
  await rig.beat({ mail: [mail(5, { write: "hello", options: {}, answers: true })] });
  assertEquals(socket.lines, ["00hello"]);
  assertEquals(rig.store.committed, ["taken 5"]);
  await rig.scene.says(socket, "00\n");
  assertEquals(rig.store.committed, ["taken 5", "7 5 {}"]);
});

Deno.test("a note of an older loss changes nothing; one of a newer drops the device, which is no warning", async () => {
  await using rig = await Rig.start();
  const socket = await rig.scene.knock("1\n\n");
  const token = rig.store.tokens.get("1")!;
  await rig.beat({ lost: [{ note: 1, device: "1", token }] });
  assertEquals(socket.closed, false);
  await rig.beat({ lost: [{ note: 2, device: "1", token: token + 1 }] });
  assertEquals(socket.closed, true);
  const said = rig.scene.log.filter((it) => /^(moved|warning)/.test(it));
  assertEquals(said, ["moved 1"]);
  assertEquals(rig.scene.server.known("1")!.server, undefined, "which one has it is not known yet");
});

Deno.test("a device without a server is adopted with its waiting messages, and its application begins", async () => {
  const store = new FleetStore();
  {
    await using rig = await Rig.start({}, store);
    const socket = await rig.scene.knock("1\n\n");
    await rig.scene.says(socket, "00left behind\n");
  }
  const read: string[] = [];
  await using rig = await Rig.start({
    app: async (device) => {
      for await (const line of device) read.push(line);
    },
  }, store);
  assertEquals(read, []);
  store.orphan = "1";
  await rig.beat({ orphans: ["1"] });
  assertEquals(read, ["left behind"]);
});

Deno.test("what is written to a device of another server is posted, and its writer is told the answer", async () => {
  const store = new FleetStore();
  const about = { id: "2", connected: true, since: "2026-01-01T00:00:00Z", counts: {} };
  store.around = { shown: [{ device: "2", process: 2, token: 1, text: JSON.stringify(about) }] };
  await using rig = await Rig.start({}, store);
  const device = await rig.scene.server.device("2");
  assertEquals([device.connected, device.server], [true, "far"]);
  const written = device.write("x", { expires: 50 });
  await rig.scene.platform.turn();
  const posted = '{"write":"x","options":{"expires":50},"answers":true}';
  assertEquals(store.committed, [`post 2 ${posted}`]);
  await rig.beat({ answers: [{ note: 1, number: 1, text: "{}" }] });
  assertEquals(await written, true);
  const expired = device.write("y");
  const failed = assertRejects(() => expired, Error, "too late");
  await rig.scene.platform.turn();
  const text = JSON.stringify({ code: "EXPIRED", message: "too late" });
  await rig.beat({ answers: [{ note: 2, number: 2, text }] });
  await rig.scene.platform.advance(200);
  await failed;
});
