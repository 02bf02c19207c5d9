/** Messages with a deadline, from `write` to the reports to its writer and the operator. */
import { assertEquals, assertRejects } from "@std/assert";
import type { ManualSocket } from "../tests/support/manual_platform.ts";
import { helloLine } from "../tests/support/greeting.ts";
import { ManualServer, TIMEOUT } from "../tests/support/manual_server.ts";
import { SlowStore } from "../tests/support/slow_store.ts";
import type { ServerEvent } from "./observe/events.ts";
import { LocalError } from "./protocol/errors.ts";
import { MemoryStore } from "./store/memory.ts";
import type { Acquired, Batch } from "./store/store.ts";

/** The outcome of a write; undefined: none yet. */
function fateOf(write: Promise<boolean>): { of?: string } {
  const fate: { of?: string } = {};
  write.then(() => fate.of = "arrived", ({ code }) => fate.of = code);
  return fate;
}

/** Messages that the device was sent. */
function texts({ written }: ManualSocket): string[] {
  return written.split("\n").filter((line) => line.length > 2).map((line) => line.slice(2));
}

function expiries({ server }: ManualServer): string[] {
  const told: string[] = [];
  server.events.subscribe((event: ServerEvent) => {
    if (event.event === "expired") told.push(`${event.device} ${event.text} ${event.code}`);
  });
  return told;
}

Deno.test("a message to a device that is away is given up at its deadline, and is never sent", async () => {
  await using scene = await ManualServer.start();
  const device = await scene.away("1");
  const told = expiries(scene);
  const fate = fateOf(device.write("open the door", { expires: 5000 }));
  await scene.platform.advance(4999);
  assertEquals(fate.of, undefined);
  await scene.platform.advance(1);
  assertEquals([fate.of, told], ["EXPIRED", ["1 open the door EXPIRED"]]);
  assertEquals([device.outbox, device.counts.expired], [0, 1]);
  const back = await scene.knock("1\n\n");
  assertEquals(texts(back), []);
});

Deno.test("no writer learns that a message has expired before the expiry is safe", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const device = await scene.away("1");
  const fate = fateOf(device.write("a", { expires: 100 }));
  await scene.platform.turn();
  const told = expiries(scene);
  const release = store.hold();
  await scene.platform.advance(100);
  assertEquals([fate.of, told], [undefined, []]);
  release();
  await scene.platform.turn();
  assertEquals([fate.of, told], ["EXPIRED", ["1 a EXPIRED"]]);
});

Deno.test("a deadline in a transaction counts from the call of tx.write; an expiry is reported by an event", async () => {
  await using scene = await ManualServer.start();
  await scene.away("1");
  const told = expiries(scene);
  const done = scene.server.transaction((tx) => tx.write("1", "a", { expires: 100 }));
  await scene.platform.turn();
  await done;
  await scene.platform.advance(100);
  assertEquals(told, ["1 a EXPIRED"]);
  const refused = assertRejects(
    () => scene.server.transaction((tx) => tx.write("1", "a", { expires: 0 })),
    LocalError,
    "expires must be 1 to",
  );
  await scene.platform.turn();
  await refused;
});

Deno.test("a restarted server keeps the deadlines that its predecessor was given", async () => {
  const store = new MemoryStore();
  {
    await using scene = await ManualServer.start({ store });
    const device = await scene.away("1");
    for (const expires of [100, 10 * TIMEOUT]) {
      fateOf(device.write(`${expires}`, { expires }));
    }
    await scene.platform.turn();
  }
  await using scene = await ManualServer.start({ store });
  const told = expiries(scene);
  await scene.platform.advance(100);
  assertEquals(told, ["1 100 EXPIRED"]);
  const socket = await scene.knock("1\n\n");
  assertEquals(texts(socket), ["20000"]);
});

Deno.test("a connected device that acknowledges nothing is disconnected as LATE: its next greeting will decide", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock(`${helloLine({ id: "1" })}\n`);
  await scene.says(socket, "\n");
  const device = await scene.server.device("1");
  const fate = fateOf(device.write("open the door", { expires: 100 }));
  await scene.platform.turn();
  assertEquals(texts(socket).slice(-1), ["open the door"]);
  const stays = async (ms: number) => {
    for (const end = scene.platform.now() + ms; scene.platform.now() < end;) {
      await scene.says(socket, "\n");
      await scene.platform.advance(TIMEOUT / 20);
    }
  };
  await stays(TIMEOUT);
  assertEquals([device.connected, fate.of], [true, undefined]);
  await stays(TIMEOUT / 4);
  assertEquals([device.connected, fate.of], [false, undefined]);
  assertEquals(scene.log.filter((entry) => entry.startsWith("disconnected")), [
    "disconnected 1 LATE",
  ]);
});

/** A slow store that notes which devices each commit changes: when it begins, and when it ends. */
class NotingStore extends MemoryStore {
  readonly commits: [string, string][] = [];
  /** Device "2" is acquired, and a commit continues, only when these resolve. */
  acquiring: Promise<void> | undefined;
  committing: Promise<void> | undefined;

  override async acquire(id: string): Promise<Acquired> {
    if (id === "2") await this.acquiring;
    return await super.acquire(id);
  }

  override async commit(batch: Batch) {
    const ids = () => Array.from(batch.changes(new Map()), ({ id }) => id).join();
    const before = ids();
    await this.committing;
    this.commits.push([before, ids()]);
    return await super.commit(batch);
  }
}

Deno.test("a message that expires while the server starts: no other device's record changes while the expiry is committed", async () => {
  const store = new NotingStore();
  await using killed = await ManualServer.start({ store });
  const { platform } = killed;
  const fate = fateOf((await killed.away("1")).write("x", { expires: 1000 }));
  const socket = await killed.knock(`${helloLine({ id: "2" })}\n`);
  await killed.says(socket, "\n");
  assertEquals(await killed.server.known("2")!.write("y", { qos: false }), true);
  await platform.turn();
  assertEquals(texts(socket).slice(-1), ["y"]);
  const [acquired, committed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  store.acquiring = acquired.promise;
  const starting = ManualServer.start({ store }, platform);
  await platform.turn();
  store.commits.length = 0;
  store.committing = committed.promise;
  await platform.advance(1000);
  acquired.resolve();
  await platform.turn();
  committed.resolve();
  const { server } = await starting;
  await server.close();
  assertEquals([store.commits.some(([before]) => before === "1"), fate.of], [true, "FENCED"]);
  for (const [before, after] of store.commits) assertEquals(after, before);
});
