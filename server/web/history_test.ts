/** The history of links: through outages, restarts of the server, and kills. */
import { assertEquals } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { ManualPlatform } from "../../tests/support/manual_platform.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { StreamBoard } from "../../tests/support/stream_board.ts";
import { SqliteStore } from "../mod.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Store } from "../store/store.ts";
import { History, type LinkTime } from "./history.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** A server that records its devices' links; it starts `after` ms after the first such server. */
class Noted {
  private constructor(readonly scene: ManualServer, readonly history: History) {}

  static async start(store: Store, after = 0): Promise<Noted> {
    const platform = new ManualPlatform();
    await platform.advance(after);
    const scene = await ManualServer.start({ store, timeout: 3_600_000 }, platform);
    const history = new History(scene.server, platform);
    await platform.turn();
    await history.read;
    return new Noted(scene, history);
  }

  /** A device has a link for this many ms. */
  async link(id: string, ms: number): Promise<void> {
    const socket = await this.scene.knock(`${id}\n\n`);
    await this.scene.platform.caughtUpNow();
    await this.scene.platform.advance(ms);
    socket.fails(new Error("reset"));
    await this.scene.platform.turn();
  }

  /** A device's links, or when the server ran: `0-250 LOST`, in ms since the first server started. */
  links(id?: string): string[] {
    const begin = new ManualPlatform().date();
    const links: readonly LinkTime[] = id === undefined ? this.history.served : this.history.of(id);
    return links.map(({ from, to, code = "" }) =>
      `${from - begin}-${to === undefined ? "" : to - begin} ${code}`.trimEnd()
    );
  }

  async close(): Promise<void> {
    const closed = this.history.close();
    await this.scene.platform.turn();
    await closed;
    await this.scene[Symbol.asyncDispose]();
  }

  /** As if it was killed: nothing more is recorded. */
  async kill(): Promise<void> {
    const transaction = () => Promise.reject(new Error("it was killed"));
    Object.assign(this.scene.server, { transaction });
    await this.history.close().catch(() => {});
    await this.scene[Symbol.asyncDispose]();
  }
}

/** A history whose transactions wait until the test lets them go on; the server's others do not wait. */
class SlowPast {
  #held: (() => void)[] = [];
  readonly #history: History;
  #isRead = false;

  constructor(readonly scene: ManualServer) {
    const { server, platform } = scene;
    const slow = new Proxy(server, {
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (name !== "transaction") return typeof value === "function" ? value.bind(target) : value;
        return async (use: Parameters<typeof server.transaction>[0]) => {
          await new Promise<void>((resolve) => this.#held.push(resolve));
          const done = server.transaction(use);
          await platform.turn();
          await done;
        };
      },
    });
    this.#history = new History(slow, platform);
    void this.#history.read.then(() => this.#isRead = true);
  }

  async read(): Promise<History> {
    while (!this.#isRead) await this.#step();
    return this.#history;
  }

  /** Lets all waiting transactions finish. */
  async goOn(): Promise<void> {
    while (this.#held.length > 0) await this.#step();
  }

  async #step(): Promise<void> {
    this.#held.splice(0).forEach((go) => go());
    await this.scene.platform.turn();
    await new Promise((resolve) => setTimeout(resolve));
  }
}

for (const Store of [MemoryStore, SqliteStore]) {
  Deno.test(`links that begin and end are recorded, ${Store.name}`, async () => {
    using place = folder();
    const store = new Store(`${place.path}/server.db`);
    const noted = await Noted.start(store);
    await noted.link("a", 100);
    await noted.scene.platform.advance(50);
    await noted.scene.knock("a\n\n");
    assertEquals(noted.links("a"), ["0-100 LOST", "150-"]);
    assertEquals(noted.links(), ["0-"]);
    await noted.close();
    await store.close();
  });
}

Deno.test("a link that ends with a sleep is ASLEEP, and OVERDUE once the device is late", async () => {
  const noted = await Noted.start(new MemoryStore());
  const { scene } = noted;
  const board = new StreamBoard(scene, "b", scene.platform.date());
  await board.connect();
  await board.says("\x02s 60");
  await board.leave();
  assertEquals(noted.links("b"), ["0-0 ASLEEP"]);
  await scene.platform.advance(50_000);
  await board.connect();
  await board.says("\x02s 60");
  await board.leave();
  await scene.platform.advance(100_000);
  assertEquals(noted.links("b"), ["0-0 ASLEEP", "50000-50000 OVERDUE"]);
  await noted.close();
});

Deno.test("links survive restarts of the server, and a kill loses at most the last minute", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  await first.link("a", 100);
  await first.scene.knock("b\n\n");
  await first.scene.platform.advance(10 * MINUTE + 5000 - 100);
  await first.kill();

  const second = await Noted.start(store, 20 * MINUTE);
  assertEquals(second.links("a"), ["0-100 LOST"]);
  assertEquals(second.links("b"), ["100-600000 LOST"]);
  assertEquals(second.links(), ["0-600000", "1200000-"]);
  await second.scene.knock("b\n\n");
  await second.scene.platform.advance(MINUTE);
  await second.close();

  const third = await Noted.start(store, 30 * MINUTE);
  assertEquals(third.links("b"), ["100-600000 LOST", "1200000-1260000 CLOSED"]);
  await third.close();
  store.close();
});

Deno.test("a sleep that a killed server has not recorded is known to the next one from the store", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  const { platform } = first.scene;
  const boards = ["comes", "goes", "comes and goes"].map((id) =>
    new StreamBoard(first.scene, id, platform.date())
  );
  const [comes, goes, both] = boards as [StreamBoard, StreamBoard, StreamBoard];
  const sleep = async (board: StreamBoard) => {
    await board.says("\x02s 3600");
    await board.leave();
  };
  for (const board of boards) await board.connect();
  await sleep(comes);
  await both.leave(); // without a sleep: an outage
  await platform.advance(MINUTE + 5000);
  await comes.connect();
  await both.connect();
  await sleep(goes);
  await sleep(both);
  await first.kill();

  const second = await Noted.start(store, 10 * MINUTE);
  const [now, begun] = [MINUTE, 10 * MINUTE];
  assertEquals(second.links("comes"), ["0-0 ASLEEP", `${now}-${now} LOST`]);
  assertEquals(second.links("goes"), [`0-${now} ASLEEP`]);
  assertEquals(second.links("comes and goes"), ["0-0 LOST", `${now}-${now} ASLEEP`]);
  assertEquals(second.links(), [`0-${now}`, `${begun}-`]);
  await second.scene.platform.advance(3000);
  await second.kill();
  const third = await Noted.start(store, 11 * MINUTE);
  assertEquals(third.links("comes"), ["0-0 ASLEEP", `${now}-${now} LOST`], "recorded once");
  assertEquals(third.links("comes and goes"), ["0-0 LOST", `${now}-${now} ASLEEP`]);
  await third.close();
  store.close();
});

Deno.test("boots of a device are recorded with their reason, and survive restarts of the server", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  const { server, platform } = first.scene;
  await first.scene.away("a");
  await platform.advance(1000);
  const metadata = "version=1 reset=watchdog";
  const address = "here";
  const come = (boots: boolean) => {
    if (boots) server.events.emit({ event: "booted", device: "a" });
    server.events.emit({
      event: "connected",
      device: "a",
      address,
      dialect: 2,
      connects: 1,
      metadata,
    });
  };
  come(true);
  await platform.advance(1000);
  come(false);
  await platform.advance(1000);
  await first.link("old", 1000); // of dialect 1: its first message shows that it booted
  const boots = ({ history }: Noted) =>
    ["a", "old"].map((id) => history.of(id).map(({ boot }) => boot));
  const old = await first.scene.knock("old\n\n");
  await first.scene.says(old, "00hello\n");
  const expected = [[undefined, "watchdog", undefined], [undefined, ""]];
  assertEquals(boots(first), expected);
  await first.close();
  const second = await Noted.start(store, MINUTE);
  assertEquals(boots(second), expected);
  await second.close();
  store.close();
});

Deno.test("a forgotten device has no history", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  await first.link("a", 3000);
  const forgotten = first.scene.server.forget("a");
  await first.scene.platform.advance(3000);
  await forgotten;
  assertEquals(first.links("a"), []);
  await first.close();
  const second = await Noted.start(store, MINUTE);
  assertEquals(second.links("a"), []);
  await second.close();
  store.close();
});

Deno.test("links that begin and end while the history is read are added after it", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  await first.link("a", 100);
  await first.link("b", 100);
  await first.close();
  const platform = new ManualPlatform();
  await platform.advance(MINUTE);
  const scene = await ManualServer.start({ store, timeout: 3_600_000 }, platform);
  const { server } = scene;
  const slow = new SlowPast(scene);
  for (const id of ["a", "c"]) {
    const socket = await scene.knock(`${id}\n\n`);
    await platform.advance(10);
    socket.fails(new Error("reset"));
    await platform.turn();
    await platform.advance(10);
  }
  const forgotten = server.forget("b");
  await platform.turn();
  await forgotten;
  await scene.knock("b\n\n");
  await platform.advance(3000); // what is recorded meanwhile waits
  const history = await slow.read();
  const begin = new ManualPlatform().date();
  const links = (of: { of(id: string): readonly LinkTime[] }, id: string) =>
    of.of(id).map(({ from, to }) => [from - begin, to === undefined ? undefined : to - begin]);
  const expected = {
    a: [[0, 100], [MINUTE, MINUTE + 10]],
    b: [[MINUTE + 40, undefined]],
    c: [[MINUTE + 20, MINUTE + 30]],
  };
  for (const [id, it] of Object.entries(expected)) assertEquals(links(history, id), it, id);
  await platform.advance(3000);
  await slow.goOn();
  void history.close(); // as if it was killed: nothing more is recorded
  await scene[Symbol.asyncDispose]();
  const third = await Noted.start(store, 2 * MINUTE);
  assertEquals(links(third.history, "a"), expected.a);
  assertEquals(links(third.history, "c"), expected.c);
  assertEquals(links(third.history, "b"), [[MINUTE + 40, MINUTE + 40]], "open when it was killed");
  await third.close();
  store.close();
});

Deno.test("a device that another server takes while the history is read keeps its history", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  await first.link("a", 100);
  await first.close();
  const platform = new ManualPlatform();
  await platform.advance(MINUTE);
  const scene = await ManualServer.start({ store, timeout: 3_600_000 }, platform);
  const slow = new SlowPast(scene);
  await store.acquire("a");
  await scene.knock("a\n\n");
  await platform.advance(10);
  assertEquals(scene.server.known("a"), undefined); // unknown here until it comes back
  const history = await slow.read();
  assertEquals(history.of("a")[0]!.from, new ManualPlatform().date());
  await slow.goOn();
  void history.close();
  await scene[Symbol.asyncDispose]();
  store.close();
});

Deno.test("a device that becomes overdue while the history is read is recorded as overdue", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  const board = new StreamBoard(first.scene, "b", first.scene.platform.date());
  await board.connect();
  await board.says("\x02s 60");
  await board.leave();
  await first.close();
  const platform = new ManualPlatform();
  await platform.advance(MINUTE);
  const scene = await ManualServer.start({ store, timeout: 3_600_000 }, platform);
  const slow = new SlowPast(scene);
  await platform.advance(MINUTE);
  const history = await slow.read();
  assertEquals(history.of("b").map(({ code }) => code), ["OVERDUE"]);
  void history.close();
  await slow.goOn();
  await scene[Symbol.asyncDispose]();
  store.close();
});

Deno.test("a connection that replaces the device's old one leaves no outage between them", async () => {
  const noted = await Noted.start(new MemoryStore());
  await noted.scene.knock("a\n\n");
  await noted.scene.knock("a\n\n");
  assertEquals(noted.links("a"), ["0-1", "1-"]);
  await noted.close();
});

Deno.test("the table is bounded by the number of links of a device and by their age", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const first = await Noted.start(store);
  await first.link("old", 1000);
  for (let n = 0; n < 600; n++) await first.link("flaps", 10);
  assertEquals(first.links("flaps").length, 500);
  await first.scene.platform.advance(3000);
  await first.close();
  const second = await Noted.start(store, MINUTE);
  assertEquals(second.links("flaps").length, 500);
  await second.close();
  const third = await Noted.start(store, 9 * DAY);
  assertEquals([third.links("flaps"), third.links("old")], [[], []]);
  await third.close();
  store.close();
});

Deno.test("after the clock is set back, each link has its own start and does not end before it", async () => {
  using place = folder();
  const store = new SqliteStore(`${place.path}/server.db`);
  const noted = await Noted.start(store);
  const { platform } = noted.scene;
  await noted.link("a", 100);
  const { date } = platform;
  platform.date = () => date() - 5000;
  await noted.link("a", 100);
  assertEquals(noted.links("a"), ["0-100 LOST", "1-1 LOST"]);
  await noted.close();
  store.close();
});
