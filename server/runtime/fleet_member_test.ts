/** A server of a fleet; the test plays the other servers through its store. */
import { assertEquals, assertRejects } from "@std/assert";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { channels, LocalError, type ServerOptions } from "../mod.ts";
import type { Around, Beat, Fleet, Mail } from "../store/fleet.ts";
import { MemoryStore } from "../store/memory.ts";
import { DeviceRecord, type DeviceState, newState, NOWHERE } from "../link/record.ts";
import type { Batch } from "../store/store.ts";

/** A store with a fleet that the test controls. */
class FleetStore extends MemoryStore {
  readonly tokens = new Map<string, number>();
  heard = () => {};
  next: Partial<Beat>[] = [];
  around: Partial<Around> = {};
  orphan: string | undefined;
  /** The state that a look shows of another server's device. */
  looked: DeviceState | undefined;
  /** Beats, adoptions, acquisitions and commits wait for these. */
  beating: Promise<void> | undefined;
  adopting: Promise<void> | undefined;
  acquiring: Promise<void> | undefined;
  committing: Promise<void> | undefined;
  /** The mail and posts in commits, in words. */
  readonly committed: string[] = [];

  readonly fleet: Fleet = {
    lease: 1000,
    sender: (number) => `me ${number}`,
    join: (heard) => {
      this.heard = heard;
      return Promise.resolve();
    },
    beat: async () => {
      const brought = this.next.shift();
      await this.beating;
      return { lost: [], mail: [], answers: [], orphans: [], ...brought };
    },
    look: (id, token) => {
      const isOurs = token !== undefined && this.tokens.get(id) === token;
      return Promise.resolve({ isOurs, state: this.looked, looks: 0 });
    },
    adopt: async (id) => {
      await this.adopting;
      return id === this.orphan ? await this.acquire(id) : undefined;
    },
    read: () => Promise.resolve(new Map()),
    exchange: () =>
      Promise.resolve({ isAll: false, shown: [], servers: new Map([[2, "far"]]), ...this.around }),
    leave: () => Promise.resolve(),
  };

  override async acquire(id: string) {
    await this.acquiring;
    const acquired = await super.acquire(id);
    this.tokens.set(id, acquired.token);
    return acquired;
  }

  override async commit(batch: Batch) {
    await this.committing;
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

const mail = (number: number, order: object): Mail => (
  { number, device: "1", text: JSON.stringify(order), age: 0, from: `7 ${number}` }
);

Deno.test("a message that another server has posted is sent to the device, and that server learns of the ack", async () => {
  await using rig = await Rig.start();
  const socket = await rig.scene.knock("1\n\n");
  await rig.beat({ mail: [mail(5, { write: "hello", options: {}, answers: true })] });
  assertEquals(socket.lines, ["00hello"]);
  assertEquals(rig.store.committed, ["taken 5"]);
  await rig.scene.says(socket, "00\n");
  assertEquals(rig.store.committed, ["taken 5", "7 5 {}"]);
});

Deno.test("mail for a device that is forgotten while a beat fetches it does not go to a new device with its id", async () => {
  await using rig = await Rig.start();
  const { scene, store } = rig;
  await scene.knock("1\n\n");
  const { promise, resolve } = Promise.withResolvers<void>();
  store.beating = promise;
  await rig.beat({ mail: [mail(5, { write: "to the old one", options: {}, answers: true })] });
  const forgotten = scene.server.forget("1");
  await scene.platform.turn();
  await forgotten;
  const socket = await scene.knock("1\n\n");
  store.beating = undefined;
  resolve();
  await scene.platform.turn();
  assertEquals([socket.closed, socket.lines, store.committed], [false, [], []]);
  await rig.beat({ mail: [mail(6, { write: "to the new one", options: {} })] });
  assertEquals([socket.lines, store.committed], [["00to the new one"], ["taken 6"]]);
});

Deno.test("a note of an old loss changes nothing; a note of a new one drops the device, without a warning", async () => {
  await using rig = await Rig.start();
  const socket = await rig.scene.knock("1\n\n");
  const token = rig.store.tokens.get("1")!;
  await rig.beat({ lost: [{ note: 1, device: "1", token }] });
  assertEquals(socket.closed, false);
  await rig.beat({ lost: [{ note: 2, device: "1", token: token + 1 }] });
  assertEquals(socket.closed, true);
  const said = rig.scene.log.filter((it) => /^(moved|warning)/.test(it));
  assertEquals(said, ["moved 1"]);
  assertEquals(rig.scene.server.known("1")!.server, undefined, "its new server is not known yet");
});

Deno.test("a clear for a device that has just been lost is refused with FENCED, and other devices continue", async () => {
  await using rig = await Rig.start();
  const { scene, store } = rig;
  await scene.says(await scene.knock("1\n\n"), "00a\n");
  const socket = await scene.knock("2\n\n");
  const device = await scene.server.device("1");
  const { promise, resolve } = Promise.withResolvers<void>();
  store.committing = promise;
  await scene.says(socket, "00x\n");
  await rig.beat({ lost: [{ note: 1, device: "1", token: store.tokens.get("1")! + 1 }] });
  const cleared = assertRejects(() => device.clear(), LocalError);
  await store.acquire("1");
  store.committing = undefined;
  resolve();
  await scene.platform.turn();
  assertEquals([(await cleared).code, socket.lines], ["FENCED", ["00"]]);
  await scene.says(socket, "01y\n");
  assertEquals(socket.lines, ["00", "01"]);
});

Deno.test("a device that was forgotten after the look for its greeting must greet again, and is then a new device", async () => {
  await using rig = await Rig.start();
  const { scene, store } = rig;
  store.looked = newState(3, { connects: 5 });
  const socket = await scene.knock("1\n\n");
  assertEquals(socket.closed, true);
  assertEquals(scene.log.filter((it) => it.startsWith("refused")), ["refused STALE_GREETING"]);
  assertEquals(scene.server.known("1"), undefined);
  store.looked = undefined;
  const again = await scene.knock("1\n\n");
  assertEquals([again.closed, scene.server.known("1")?.connects], [false, 1]);
});

Deno.test("a device that has never connected, and was forgotten after the look for its greeting, gets none of the messages that waited for it", async () => {
  await using rig = await Rig.start();
  const { scene, store } = rig;
  const record = new DeviceRecord("1", NOWHERE);
  record.write("to the forgotten one", { overtakes: false, qos: true }, 0);
  store.looked = record.state;
  const socket = await scene.knock("1\n\n");
  assertEquals([socket.closed, socket.lines], [true, []]);
  assertEquals(scene.log.filter((it) => it.startsWith("refused")), ["refused STALE_GREETING"]);
  store.looked = undefined;
  const again = await scene.knock("1\n\n");
  assertEquals([again.closed, again.lines, scene.server.known("1")?.outbox], [false, [], 0]);
});

Deno.test("a device without a server is adopted with its waiting messages, and its application starts", async () => {
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

Deno.test("a device that is adopted while it is admitted for the first time exists once, and each message is processed once", async () => {
  const store = new FleetStore();
  const processed: string[] = [];
  await using rig = await Rig.start({
    app: async (device) => {
      for (;;) {
        await device.consume((line, tx) => tx.afterCommit(() => void processed.push(line)));
      }
    },
  }, store);
  const { server, platform } = rig.scene;
  await rig.scene.knock("other\n\n");
  const [adopting, acquiring, committing] = [1, 2, 3].map(() => Promise.withResolvers<void>());
  store.adopting = adopting!.promise;
  store.acquiring = acquiring!.promise;
  const socket = await rig.scene.knock("1\n\n");
  store.orphan = "1";
  await rig.beat({ orphans: ["1"] }); // it waits for the greeting
  store.committing = committing!.promise;
  const busy = server.transaction((tx) => tx.write("other", "x"));
  await platform.turn();
  acquiring!.resolve(); // the device is acquired, and waits for the commit; its adoption begins
  await platform.turn();
  assertEquals(server.known("1"), undefined);
  committing!.resolve();
  await platform.turn();
  await busy;
  assertEquals(server.known("1")?.connected, true);
  await rig.scene.says(socket, "00a\n");
  adopting!.resolve(); // only now the store adopts it
  await platform.turn();
  await rig.scene.says(await rig.scene.knock("1\n\n"), "00a\n01b\n");
  await platform.advance(100);
  assertEquals([socket.closed, processed], [true, ["a", "b"]]);
  assertEquals(server.known("1")!.inbox, 0);
});

Deno.test("an application that starts as its device is lost gets FENCED, and is not reported as failed", async () => {
  const gate = Promise.withResolvers<void>();
  const told: string[] = [];
  const app = channels({});
  const store = new FleetStore();
  await using rig = await Rig.start({
    app: async (device, server) => {
      await gate.promise;
      await app(device, server).catch((error) => {
        told.push(error.code);
        throw error;
      });
    },
  }, store);
  await rig.scene.knock("1\n\n");
  const token = store.tokens.get("1")! + 1;
  const text = JSON.stringify({
    id: "1",
    connected: true,
    since: "2026-01-01T00:00:00Z",
    counts: {},
  });
  store.around = { shown: [{ device: "1", process: 2, token, text }] };
  await rig.beat({ lost: [{ note: 1, device: "1", token }] });
  await rig.scene.platform.advance(1500);
  assertEquals(rig.scene.server.known("1")?.server, "far");
  gate.resolve();
  await rig.scene.platform.turn();
  assertEquals(told, ["FENCED"]);
  assertEquals(rig.scene.log.filter((it) => it.startsWith("app_failed")), []);
});

Deno.test("a message to another server's device is posted, and its writer gets the outcome", async () => {
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
