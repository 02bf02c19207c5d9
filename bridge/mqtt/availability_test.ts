/** When a device counts as gone, on a clock of the test. */
import { assertEquals } from "@std/assert";
import { type Device, Events } from "../../server/mod.ts";
import type { Clock } from "../../server/transport/platform.ts";
import { Availability, type AvailabilityOptions, sleepIn } from "./availability.ts";

/** Devices that connect and leave when the test wants it. */
class Stage {
  readonly events = new Events();
  readonly told: string[] = [];
  readonly #timers = new Map<object, { at: number; run: () => void }>();
  readonly #availability: Availability;
  readonly #unknown = new Set<string>();
  #now = 0;

  constructor(options: Partial<AvailabilityOptions>, devices: Partial<Device>[] = []) {
    const clock = {
      date: () => this.#now,
      after: (ms: number, run: () => void) => {
        const key = {};
        this.#timers.set(key, { at: this.#now + ms, run });
        return () => void this.#timers.delete(key);
      },
    } as Clock;
    const known = (id: string) => this.#unknown.has(id) ? undefined : {} as Device;
    const server = { events: this.events, devices: devices as Device[], known };
    const tell = (id: string, state: string, sleep: number) =>
      void this.told.push(`${this.#now} ${id} ${state}${sleep > 0 ? ` ${sleep}` : ""}`);
    this.#availability = new Availability(server, clock, options, tell);
  }

  comes(device: string, metadata?: string): void {
    const more = metadata === undefined ? {} : { metadata };
    this.events.emit({ event: "connected", device, address: "", dialect: 2, connects: 1, ...more });
  }

  /** It has announced how long it sleeps, and has disconnected. */
  sleeps(device: string, until: number): void {
    const message = "it sleeps";
    const address = "";
    this.events.emit({ event: "asleep", device, address, until: new Date(until), message });
  }

  overdue(device: string): void {
    this.events.emit({ event: "overdue", device, message: "it is late" });
  }

  /** Another server has it from now on. */
  moves(device: string): void {
    this.events.emit({ event: "moved", device, message: "it has moved" });
  }

  /** What another server shows of it has changed. */
  isElsewhere(device: string): void {
    this.events.emit({ event: "elsewhere", device, server: "other", message: "it is there" });
  }

  /** Another server has forgotten it. */
  isForgottenElsewhere(device: string): void {
    this.#unknown.add(device);
    this.events.emit({ event: "elsewhere", device, server: undefined, message: "it is not there" });
  }

  leaves(device: string): void {
    this.events.emit({ event: "disconnected", device, address: "", code: "LOST", message: "" });
  }

  sleep(device: string): number {
    return this.#availability.sleep(device);
  }

  state(device: string): string | undefined {
    return this.#availability.get(device);
  }

  /** Advances the clock to this time. */
  until(end: number): void {
    for (;;) {
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end)
        .sort(([, one], [, other]) => one.at - other.at);
      if (!next) break;
      this.#timers.delete(next[0]);
      this.#now = next[1].at;
      next[1].run();
    }
    this.#now = end;
  }

  close(): number {
    this.#availability.close();
    return this.#timers.size;
  }
}

Deno.test("each device has an `offlineAfter` of its own", () => {
  const stage = new Stage({ offlineAfter: { slow: 500, quick: 0 } });
  for (const id of ["slow", "quick", "other"]) stage.comes(id);
  for (const id of ["slow", "quick", "other"]) stage.leaves(id);
  stage.until(40_000);
  assertEquals(stage.told.slice(3), ["0 quick offline", "500 slow offline", "30000 other offline"]);
});

Deno.test("a device that another server has taken is offline after its time, unless it is back; once that server shows it, its state here is dropped", () => {
  const stage = new Stage({ offlineAfter: 100 });
  for (const id of ["taken", "back", "gone"]) stage.comes(id);
  stage.leaves("gone");
  stage.until(150);
  stage.told.length = 0;
  for (const id of ["taken", "back", "gone"]) stage.moves(id);
  stage.until(200);
  stage.comes("back");
  stage.until(1000);
  assertEquals(stage.told, ["200 back online", "250 taken offline"]);
  for (const id of ["taken", "back", "gone"]) stage.isElsewhere(id);
  assertEquals(["taken", "gone"].map((id) => stage.state(id)), [undefined, undefined]);
  assertEquals(stage.close(), 0);
});

Deno.test("a device that sleeps is sleeping while it may, and then offline", () => {
  const stage = new Stage({ offlineAfter: 100 });
  stage.comes("a", "version=1 sleep=10 ms=5");
  stage.leaves("a");
  stage.until(50);
  stage.comes("a", "sleep=10"); // too short for an outage
  stage.leaves("a");
  stage.until(5000);
  stage.comes("a", "sleep=10"); // back in time
  stage.leaves("a");
  stage.until(60_000);
  stage.comes("a", "version=2"); // it does not sleep any more
  stage.leaves("a");
  stage.until(70_000);
  assertEquals(stage.told, [
    "0 a online 10000",
    "150 a sleeping 10000",
    "5000 a online 10000",
    "5100 a sleeping 10000",
    "15100 a offline 10000",
    "60000 a online",
    "60100 a offline",
  ]);
  assertEquals(stage.close(), 0);
});

Deno.test("a device that has said when it goes to sleep sleeps at once, until the server misses it", () => {
  const asleep = { id: "before", connected: false, asleepUntil: new Date(3000) };
  const stage = new Stage({ offlineAfter: 100 }, [asleep]);
  stage.comes("a");
  stage.sleeps("a", 5000);
  stage.until(4000);
  stage.comes("a");
  stage.until(6000);
  stage.sleeps("a", 20_000);
  stage.until(30_000);
  stage.overdue("a");
  stage.comes("a");
  stage.leaves("a");
  stage.until(40_000);
  assertEquals(stage.told, [
    "0 before sleeping 3000",
    "0 a online",
    "0 a sleeping 5000",
    "4000 a online",
    "6000 a sleeping 14000",
    "30000 a offline 14000",
    "30000 a online",
    "30100 a offline",
  ]);
  assertEquals(stage.close(), 0);
});

Deno.test("the operator's sleep setting counts, and so does one reported to an earlier process", () => {
  const sleeping = (id: string) => id === "told" ? 0 : undefined;
  const away = { connected: false, metadata: "" };
  const devices = [{ id: "told", ...away }, { id: "kept", ...away }];
  const last = () => ({ state: "sleeping", sleep: 1000 } as const);
  const stage = new Stage({ offlineAfter: 10, sleeping, last }, devices);
  stage.until(5000);
  stage.comes("told", "sleep=60");
  stage.leaves("told");
  stage.until(6000);
  assertEquals(stage.told, [
    "10 told offline",
    "10 kept sleeping 1000",
    "1010 kept offline 1000",
    "5000 told online",
    "5010 told offline",
  ]);
});

Deno.test("a device that an earlier process has reported as missing does not count as sleeping again", () => {
  const devices = [{ id: "gone", connected: false }, { id: "asleep", connected: false }];
  const last = (id: string) =>
    ({ state: id === "gone" ? "offline" : "sleeping", sleep: 1000 }) as const;
  const stage = new Stage({ offlineAfter: 10, last }, devices);
  assertEquals([stage.state("gone"), stage.state("asleep")], ["offline", undefined]);
  stage.until(5000);
  stage.comes("gone");
  assertEquals(stage.told, [
    "10 asleep sleeping 1000",
    "1010 asleep offline 1000",
    "5000 gone online",
  ]);
});

Deno.test("`sleep=` in a device's metadata is read as whole seconds; anything else is ignored", () => {
  const said: [string, number | undefined][] = [
    ["", undefined],
    ["sleep=60", 60_000],
    ["version=1 sleep=0 ms=3", 0],
    ["sleep=999999999", 2 ** 31 - 1],
    ["sleep=-1", undefined],
    ["sleep=1s", undefined],
    ["asleep=60", undefined],
  ];
  for (const [metadata, ms] of said) assertEquals(sleepIn(metadata), ms, metadata);
});

Deno.test("a device's sleep report is dropped while another server has it", () => {
  const stage = new Stage({ offlineAfter: 100 });
  stage.comes("nap", "sleep=1");
  stage.leaves("nap");
  stage.moves("nap");
  assertEquals(stage.sleep("nap"), 1000);
  stage.isElsewhere("nap");
  assertEquals(stage.sleep("nap"), 0);
  stage.comes("nap", "sleep=2");
  assertEquals(stage.sleep("nap"), 2000);
  stage.close();
});

Deno.test("a device that has moved to another server and was forgotten there is not announced as gone", () => {
  const stage = new Stage({ offlineAfter: 100 });
  stage.comes("old");
  stage.moves("old");
  stage.isForgottenElsewhere("old");
  stage.until(1000);
  assertEquals([stage.told, stage.state("old")], [["0 old online"], undefined]);
  stage.close();
});
