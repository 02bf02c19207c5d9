/** What the processes of a fleet show each other of their devices. */
import { assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import type { DeviceView } from "../device_view.ts";
import { noMessages } from "../link/counts.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Around, Fleet, Shown } from "../store/fleet.ts";
import type { DeviceDriver } from "./device_driver.ts";
import { Overview } from "./overview.ts";
import { Pace } from "./pace.ts";

function view(id: string, connected = true): DeviceView {
  const since = new Date(0).toISOString();
  const about = { id, connected, since, connects: 1, metadata: "", inbox: 0, outbox: 0 };
  return { ...about, app: "running", deadLetters: 0, counts: noMessages() };
}

/** A process, and the devices that others show. */
class Scene {
  readonly clock = new ManualClock();
  readonly here = new Map<string, DeviceDriver>();
  /** The devices that were shown in each exchange. */
  readonly shown: string[][] = [];
  readonly told: string[] = [];
  /** While something is not safe: what waits for that. */
  unsafe: (() => void)[] | undefined;
  next: (Partial<Around> | Error)[] = [];
  servers = new Map([[1, "near"], [2, "far"]]);
  readonly overview: Overview;

  constructor() {
    const exchange: Fleet["exchange"] = (_, sights) => {
      this.shown.push(
        sights.map(({ device, token, text }) => `${device} ${token}${text ? "" : " gone"}`),
      );
      const next = this.next.shift() ?? {};
      if (next instanceof Error) return Promise.reject(next);
      return Promise.resolve({ isAll: false, shown: [], servers: this.servers, ...next });
    };
    this.overview = new Overview({
      fleet: { lease: 1000, exchange } as unknown as Fleet,
      clock: this.clock,
      whenSafe: (run) => {
        const { unsafe } = this;
        if (!unsafe) return void run();
        unsafe.push(run);
        return () => unsafe.splice(unsafe.indexOf(run), 1);
      },
      name: () => "near",
      here: (id) => this.here.get(id),
      view: ({ id }) => view(id),
      seen: ({ id, connected, server }, isNews) =>
        void this.told.push(`${id} ${connected ? "up" : "down"} ${server}${isNews ? " news" : ""}`),
      forgotten: (id) => void this.told.push(`${id} forgotten`),
      distant: {
        pace: new Pace(this.clock),
        refusal: () => undefined,
        check() {},
        read: () => Promise.resolve(undefined),
        ask: () => () => {},
      },
    });
  }

  add(id: string, token: number, isKnown = true): DeviceDriver {
    const device = { id, ledger: { token, isKnown } } as DeviceDriver;
    this.here.set(id, device);
    this.overview.changed(id);
    return device;
  }

  async start(): Promise<void> {
    this.overview.start();
    await this.clock.turn();
  }

  async look(next: Partial<Around> | Error = {}): Promise<void> {
    this.next = [next];
    await this.clock.advance(1000);
  }

  async end(): Promise<void> {
    await this.overview.close();
    assertEquals(this.clock.timers, 0);
  }
}

const far = (device: string, connected = true, token = 1): Shown => (
  { device, process: 2, token, text: JSON.stringify(view(device, connected)) }
);

Deno.test("changed devices are shown once a second, each once, and again only when they change", async () => {
  const scene = new Scene();
  scene.add("a", 5);
  scene.overview.changed("a");
  scene.overview.changed("nobody");
  await scene.start();
  await scene.look();
  scene.overview.changed("a");
  await scene.look();
  assertEquals(scene.shown, [["a 5"], [], ["a 5"]]);
  await scene.end();
});

Deno.test("a device is shown in the next exchange if the store failed, or did not know the device yet", async () => {
  const scene = new Scene();
  scene.add("a", 5);
  scene.add("b", 6, false);
  scene.next = [new LocalError("STORE_FAILED", "no")];
  await scene.start();
  Object.assign(scene.here.get("b")!.ledger, { isKnown: true });
  await scene.look();
  assertEquals(scene.shown.map((it) => it.map((one) => one.slice(0, 3))), [["a 5"], [
    "b 6",
    "a 5",
  ]]);
  await scene.end();
});

Deno.test("changes are shown when they are safe, not while they are being committed", async () => {
  const scene = new Scene();
  await scene.start();
  scene.add("a", 5);
  const waiting = scene.unsafe = [] as (() => void)[];
  await scene.look();
  assertEquals([scene.shown, waiting.length], [[[]], 1]);
  waiting.pop()!();
  await scene.clock.turn();
  assertEquals(scene.shown, [[], ["a 5"]]);
  await scene.look();
  await scene.end();
  assertEquals(waiting.length, 0, "a closed process shows nothing more");
});

Deno.test("many devices are shown in parts of 500, one a second", async () => {
  const scene = new Scene();
  for (let n = 0; n < 1200; n++) scene.add(`${n}`, n);
  await scene.start();
  await scene.clock.advance(2 * 1000);
  assertEquals(scene.shown.map(({ length }) => length), [500, 500, 200]);
  await scene.end();
});

Deno.test("a forgotten device is shown as forgotten, and if it comes back it is shown after that", async () => {
  const scene = new Scene();
  const device = scene.add("a", 5);
  scene.here.delete("a");
  scene.overview.forgets(device);
  scene.add("a", 6);
  await scene.start();
  await scene.look();
  assertEquals(scene.shown, [["a 5 gone"], ["a 6"]]);
  await scene.end();
});

Deno.test("devices that others show are listed, and a change of their server or link is news", async () => {
  const scene = new Scene();
  scene.next = [{ isAll: true, shown: [far("a"), far("b", false)] }];
  await scene.start();
  scene.told.length = 0;
  await scene.look({ shown: [far("a"), far("b", true)] });
  assertEquals(scene.told, ["a up far", "b up far news"]);
  assertEquals([...scene.overview].map(({ id, server }) => `${id} ${server}`), ["a far", "b far"]);
  await scene.look({ shown: [{ device: "a", process: 2, token: 1, text: undefined }] });
  assertEquals([scene.told.slice(2), scene.overview.get("a")], [["a forgotten"], undefined]);
  await scene.look({ isAll: true, shown: [] });
  assertEquals([scene.told.slice(3), [...scene.overview]], [["b forgotten"], []]);
  await scene.end();
});

Deno.test("a device whose server is no longer alive has no link and no server", async () => {
  const scene = new Scene();
  scene.next = [{ shown: [far("a")] }];
  await scene.start();
  const device = scene.overview.get("a")!;
  assertEquals([device.connected, device.app], [true, "running"]);
  scene.servers = new Map([[1, "near"]]);
  await scene.look();
  assertEquals([device.connected, device.server, device.app], [false, undefined, "none"]);
  assertEquals(scene.told.at(-1), "a down undefined news");
  await scene.end();
});

Deno.test("a device that is here is not listed as distant; when it is lost, what others have shown since counts", async () => {
  const scene = new Scene();
  const device = scene.add("a", 5);
  scene.next = [{ shown: [far("a", true, 4)] }];
  await scene.start();
  assertEquals([scene.overview.get("a"), [...scene.overview]], [undefined, []]);
  await scene.look({ shown: [far("a", false, 6)] });
  scene.here.delete("a");
  scene.overview.loses(device);
  assertEquals(scene.overview.get("a")!.server, "far");
  await scene.end();
});

Deno.test("ready of a distant device resolves when it has a link, and rejects when the server is closed", async () => {
  const scene = new Scene();
  scene.next = [{ shown: [far("a", false), far("b", false)] }];
  await scene.start();
  const [a, b] = ["a", "b"].map((id) => scene.overview.get(id)!.ready());
  await scene.look({ shown: [far("a", true)] });
  await a;
  const reason = new LocalError("CLOSED", "closed");
  scene.overview.stop(reason);
  assertEquals(await assertRejects(() => b!), reason);
  await scene.end();
});
