/** Readings of a device without a clock, on a server: the time at which they were taken. */
import { assertEquals } from "@std/assert";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { StreamBoard } from "../../tests/support/stream_board.ts";
import { MemoryStore } from "../store/memory.ts";
import type { ServerEvent } from "../observe/events.ts";
import type { App, ServerOptions } from "../server.ts";
import { channels } from "./app.ts";
import type { Handler } from "./channel.ts";

const DATE = 1_700_000_000_000;
const DAY = 86_400_000;

/** Each reading that was reported: its value, and when it was taken, in ms from the start of the test. */
type Reading = [value: unknown, at: number | undefined, isStamped: boolean];

/** An application that notes readings, once it may run. */
function gated({ looks = true } = {}) {
  const readings: Reading[] = [];
  const { promise, resolve: open } = Promise.withResolvers<void>();
  const temp: Handler = (value, { at, isStamped }) =>
    void readings.push([value, at && at.getTime() - DATE, isStamped]);
  const note = channels({ temp: looks ? temp : {} });
  const app: App = (device, server) => promise.then(() => note(device, server));
  return { app, open, readings };
}

class TimeScene implements AsyncDisposable {
  private constructor(
    readonly server: ManualServer,
    readonly board: StreamBoard,
    readonly readings: Reading[],
  ) {}

  static async start(ms = 0, options: ServerOptions = {}): Promise<TimeScene> {
    const { app, open, readings } = gated();
    open();
    const server = await ManualServer.start({ app, timeout: 3_600_000, ...options });
    return new TimeScene(server, new StreamBoard(server, "1", DATE, ms), readings);
  }

  /** Lets this time pass while the device is away. */
  async passes(ms: number): Promise<void> {
    await this.board.leave();
    await this.server.platform.advance(ms);
  }

  /** What was reported since the last call. */
  news(): Reading[] {
    return this.readings.splice(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

Deno.test("a reading that waited through an outage has the time at which it was taken", async () => {
  await using scene = await TimeScene.start(123_456);
  const { board } = scene;
  await board.connect();
  await board.reads(21);
  await scene.passes(5000);
  await board.reads(22);
  await scene.passes(3 * DAY);
  await board.says("=temp 23");
  await board.connect();
  assertEquals(scene.news(), [
    [21, 0, true],
    [22, 5000, true],
    [23, 3 * DAY + 5000, false],
  ]);
  const thing = await scene.server.server.thing("1");
  const { at, isStamped } = thing.reported("temp")!;
  assertEquals([at?.getTime(), isStamped], [DATE + 3 * DAY + 5000, false]);
});

Deno.test("the device's counter wraps around while a reading waits", async () => {
  await using scene = await TimeScene.start(2 ** 32 - 1000);
  await scene.board.reads(21);
  await scene.passes(1500);
  await scene.board.reads(22);
  await scene.board.connect();
  assertEquals(scene.news(), [[21, 0, true], [22, 1500, true]]);
});

Deno.test("a reading that waits in the server keeps its time through a restart", async () => {
  const store = new MemoryStore();
  {
    await using scene = await TimeScene.start(70_000, { store, app: async () => {} });
    await scene.board.connect();
    await scene.board.reads(21);
  }
  const { app, open, readings } = gated();
  await using scene = await TimeScene.start(0, { store, app });
  const told: ServerEvent[] = [];
  scene.server.server.events.subscribe((event) => told.push(event));
  await scene.passes(7 * DAY); // it does not come back
  open();
  await scene.passes(1000);
  assertEquals(readings, [[21, 0, true]]);
  const thing = await scene.server.server.thing("1");
  const reported = { value: 21, at: new Date(DATE), isStamped: true };
  assertEquals(thing.reported("temp"), reported);
  const events = told.filter(({ event }) => event === "reported");
  assertEquals(events, [{ event: "reported", device: "1", channel: "temp", ...reported }]);
});

Deno.test("readings of several boots wait for the application: each has its time, or none", async () => {
  const { app, open, readings } = gated();
  await using scene = await TimeScene.start(50_000, { app });
  const { board } = scene;
  await board.connect();
  await board.reads(1);
  await scene.passes(1000);
  board.reboot();
  await scene.server.platform.advance(200);
  await board.connect();
  await board.reads(2);
  await scene.passes(1000);
  board.reboot();
  board.metadata = "version=0";
  await board.connect();
  await board.reads(3);
  board.reboot();
  board.metadata = undefined;
  await scene.passes(300);
  await board.connect();
  await board.reads(4);
  open();
  await scene.passes(DAY);
  assertEquals(readings, [
    [1, 0, true],
    [2, 1200, true],
    [3, undefined, true],
    [4, 2500, true],
  ]);
});

Deno.test("readings of several boots without a handler, which share a transaction, keep their times", async () => {
  const { app, open } = gated({ looks: false });
  await using scene = await TimeScene.start(50_000, { app });
  const { board } = scene;
  const told: (number | undefined)[] = [];
  scene.server.server.events.subscribe((event) => {
    if (event.event === "reported") told.push(event.at && event.at.getTime() - DATE);
  });
  await board.connect();
  await board.reads(1);
  await scene.passes(1000);
  board.reboot();
  await scene.server.platform.advance(200);
  await board.connect();
  await board.reads(2);
  open();
  await scene.passes(DAY);
  assertEquals(told, [0, 1200]);
});

Deno.test("a hello's milliseconds count from its arrival, however long the device takes to confirm it", async () => {
  await using scene = await TimeScene.start(5000);
  const { board } = scene;
  await board.reads(21);
  await scene.passes(500);
  board.pausesInGreeting = 1000;
  await board.connect();
  await board.reads(22);
  assertEquals(scene.news(), [[21, 0, true], [22, 1500, true]]);
});

Deno.test("a reading without a known time is reported as such, everywhere", async () => {
  await using scene = await TimeScene.start();
  const told: unknown[] = [];
  scene.server.server.events.subscribe((event) => event.event === "reported" && told.push(event));
  scene.board.metadata = "version=1";
  await scene.board.connect();
  await scene.board.reads(21);
  assertEquals(scene.news(), [[21, undefined, true]]);
  const thing = await scene.server.server.thing("1");
  assertEquals(thing.reported("temp"), { value: 21, at: undefined, isStamped: true });
  const reported = { event: "reported", device: "1", channel: "temp", value: 21 };
  assertEquals(told, [{ ...reported, at: undefined, isStamped: true }]);
});

Deno.test("invalid milliseconds are a warning, and the device is served", async () => {
  await using scene = await TimeScene.start();
  scene.board.metadata = "ms=4294967296";
  await scene.board.connect();
  await scene.board.reads(21);
  assertEquals(scene.news(), [[21, undefined, true]]);
  assertEquals(scene.server.log.includes("warning 1 BAD_METADATA"), true);
});

Deno.test("a dead letter that is revived after a reboot has the time at which it was taken", async () => {
  let fails = true;
  const readings: Reading[] = [];
  const app = channels({
    temp(value, { at, isStamped }) {
      if (value === 1 && fails) throw new Error("no");
      readings.push([value, at && at.getTime() - DATE, isStamped]);
    },
  });
  await using scene = await TimeScene.start(0, { app, deadLetters: true, limits: { attempts: 1 } });
  const { board } = scene;
  await board.connect();
  await board.reads(1);
  await scene.passes(5000);
  board.reboot();
  await board.connect();
  await board.reads(2);
  fails = false;
  const [device] = scene.server.server.devices;
  const revived = device!.revive(0);
  await scene.passes(5000);
  await revived;
  assertEquals(readings, [[2, 5000, true], [1, 0, true]]);
});

Deno.test("devices that do not send their milliseconds have no memo", async () => {
  const store = new MemoryStore();
  await using scene = await TimeScene.start(0, { store });
  scene.board.metadata = "";
  await scene.board.connect();
  const { state } = await store.acquire("1");
  assertEquals(state?.memos ?? [], []);
});
