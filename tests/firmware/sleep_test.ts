/** Deep sleep on a chip: waiting messages with their numbers and times, and how the WiFi is joined afterwards. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Emulator, EmulatorOptions } from "../../bridge/esp8266/emulator/emulator.ts";
import { channels, type Device, Server, type ServerEvent } from "../../server/mod.ts";
import { compile } from "../support/compile.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { application, chipTest, chipTools, firmware, line, plugIn } from "./support.ts";
import { Watch } from "./watched.ts";

const ROOT = new URL("../../", import.meta.url);

const TEN_MINUTES = 600_000;

/** Longer than anything that a woken chip does. */
const AWAKE = 60_000;

/** A chip's sleeps, whose length the test controls. */
class Sleeps {
  /** The requested length of each, in ms. */
  readonly ms: number[] = [];
  #end: (() => void) | undefined;

  /** For the emulator. */
  readonly sleep = (ms: number): Promise<void> => {
    this.ms.push(ms);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#end = resolve;
    return promise;
  };

  /** Waits until the chip sleeps for the n-th time. */
  async asleep(board: Emulator, n: number): Promise<void> {
    await until(() => {
      board.check();
      return this.ms.length >= n && board.asleep;
    }, {
      timeout: 120_000,
      what: () => `sleep ${n}, after:\n  ${board.lines.slice(-15).join("\n  ")}`,
    });
  }

  /** Ends the sleep. */
  wake(): void {
    this.#end?.();
  }
}

/** A sleeping board: the thermometer on a battery, or another application. */
async function sleeper(
  port: number,
  { source, ...options }: Partial<EmulatorOptions> & { source?: string } = {},
): Promise<{ board: Emulator; sleeps: Sleeps } & AsyncDisposable> {
  const sleeps = new Sleeps();
  const program = source === undefined
    ? application("battery")
    : { name: "sleeper", wasm: await compile(source) };
  const board = await plugIn({
    port,
    id: "chip",
    application: program,
    sleep: sleeps.sleep,
    ...options,
  });
  return { board, sleeps, [Symbol.asyncDispose]: () => board[Symbol.asyncDispose]() };
}

/** A server, its events, and the chip's messages. */
async function listen() {
  const told: string[] = [];
  const app = async (device: Device) => {
    for await (const line of device) told.push(line);
  };
  const server = await Server.listen({ port: 0, open: true, app });
  const events: ServerEvent[] = [];
  server.events.subscribe((event) => void events.push(event));
  const count = (name: ServerEvent["event"]) => events.filter(({ event }) => event === name).length;
  return {
    server,
    port: server.port,
    events,
    count,
    /** Since the last call. */
    lines: () => told.splice(0),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The stamps and values of readings. */
function readings(lines: readonly string[]): { stamp: number; value: number }[] {
  return lines.flatMap((line) => {
    const [, stamp, value] = line.match(/^=temp@(\d+) (\d+)$/) ?? [];
    return value === undefined ? [] : [{ stamp: Number(stamp), value: Number(value) }];
  });
}

/** Checks that each was taken this long after the previous one. */
function checkTimes(all: readonly { stamp: number }[], ms: number): void {
  for (const [n, { stamp }] of all.entries()) {
    if (n === 0) continue;
    const passed = stamp - all[n - 1]!.stamp;
    assert(passed >= ms && passed < ms + AWAKE, `${passed} ms passed before reading ${n}`);
  }
}

Deno.test("the README shows the example unchanged", async () => {
  const example = await Deno.readTextFile(new URL("client-as/examples/battery.ts", ROOT));
  const start = example.slice(example.indexOf("export function onStart"));
  const readme = await Deno.readTextFile(new URL("client-as/README.md", ROOT));
  assertStringIncludes(readme, "```\n" + start + "```\n");
});

chipTest(
  "a reading is sent, then the chip sleeps; afterwards its stream and time go on",
  async () => {
    await using all = await listen();
    await using chip = await sleeper(all.port);
    const { board, sleeps } = chip;
    for (let n = 1; n <= 3; n++) {
      await sleeps.asleep(board, n);
      assertEquals(sleeps.ms, Array(n).fill(TEN_MINUTES));
      assertMatch(board.lines.at(-1)!, /^holdfast: sleep ms=600000 waiting=0$/);
      board.setAnalogue(20 + n);
      sleeps.wake();
    }
    await sleeps.asleep(board, 4);
    const lines = all.lines();
    assertEquals(lines[0], "@battery 1");
    const told = readings(lines.slice(1));
    assertEquals(told.map(({ value }) => value), [0, 21, 22, 23]);
    checkTimes(told, TEN_MINUTES);
    assertEquals(all.count("booted"), 1, "it is one stream");
    assertEquals(board.lines.filter((line) => line.includes("reset=wake")).length, 3);
    await until(() => all.count("asleep") === 4, { what: "the server to know that it sleeps" });
    assertEquals(all.count("disconnected"), 0, "that is no outage");
    const device = await all.server.device("chip");
    const left = device.asleepUntil!.getTime() - Date.now();
    assert(left > TEN_MINUTES - AWAKE && left <= TEN_MINUTES, `${left} ms are left`);
  },
);

chipTest(
  "what was read in ten sleeps without network arrives once, in order, with its time",
  async () => {
    await using all = await listen();
    await using chip = await sleeper(all.port);
    const { board, sleeps } = chip;
    board.setAnalogue(100);
    await sleeps.asleep(board, 1);
    assertEquals(all.lines().length, 2);
    const since = Date.now();
    board.wifi = "not-found";
    for (let n = 1; n <= 10; n++) {
      board.setAnalogue(100 + n);
      sleeps.wake();
      await sleeps.asleep(board, 1 + n);
      assertEquals(board.lines.at(-1), `holdfast: sleep ms=600000 waiting=${n}`);
    }
    assertEquals(all.lines(), []);
    board.wifi = "up";
    board.setAnalogue(111);
    sleeps.wake();
    await sleeps.asleep(board, 12);
    const lines = all.lines();
    const told = readings(lines);
    assertEquals(told.map(({ value }) => value), Array.from({ length: 11 }, (_, n) => 101 + n));
    assertEquals(lines.length, told.length, "and nothing else came");
    checkTimes(told, TEN_MINUTES);
    // The server's time of a reading is its stamp's distance from the hello's: ten sleeps for the first of them.
    const device = await all.server.device("chip");
    const [, ms] = device.metadata.match(/ms=(\d+)$/)!;
    const age = Number(ms) - told[0]!.stamp;
    const most = 10 * TEN_MINUTES + Date.now() - since;
    assert(age >= 10 * TEN_MINUTES && age <= most, `the first is ${age} ms old`);
    assertEquals(all.count("booted"), 1);
  },
);

chipTest("the README's server is told of each reading with its time", async () => {
  const told: { value: unknown; at: Date | undefined }[] = [];
  const note = channels({ temp: (value, { at }) => void told.push({ value, at }) });
  await using server = await Server.listen({ port: 0, open: true, app: note });
  await using chip = await sleeper(server.port);
  const { board, sleeps } = chip;
  await sleeps.asleep(board, 1);
  board.wifi = "not-found";
  for (const n of [1, 2]) {
    board.setAnalogue(n);
    sleeps.wake();
    await sleeps.asleep(board, 1 + n);
  }
  board.wifi = "up";
  board.setAnalogue(3);
  sleeps.wake();
  await sleeps.asleep(board, 4);
  await until(() => told.length === 4, { what: "four readings" });
  assertEquals(told.map(({ value }) => value), [0, 1, 2, 3]);
  // By the chip's clock ten minutes lie between them, though they came at once.
  for (const [n, { at }] of told.entries()) {
    if (n === 0) continue;
    const ago = told[3]!.at!.getTime() - at!.getTime();
    const asleep = (3 - n) * TEN_MINUTES;
    assert(ago >= asleep && ago < asleep + AWAKE, `reading ${n} is ${ago} ms old`);
  }
});

chipTest(
  "a chip that has lost its memory in a sleep starts again, and nothing comes twice",
  async () => {
    await using all = await listen();
    await using chip = await sleeper(all.port);
    const { board, sleeps } = chip;
    await sleeps.asleep(board, 1);
    board.wifi = "not-found";
    sleeps.wake();
    await sleeps.asleep(board, 2);
    assertEquals(all.lines().length, 2);
    board.wifi = "up";
    board.setAnalogue(7);
    board.reset("power-on"); // a battery that was empty for a moment
    await sleeps.asleep(board, 3);
    const lines = all.lines();
    assertEquals(lines[0], "@battery 1");
    assertEquals(readings(lines).map(({ value }) => value), [7], "what waited is gone");
    assertEquals(all.count("booted"), 2);
    board.setAnalogue(8);
    sleeps.wake();
    await sleeps.asleep(board, 4);
    assertEquals(readings(all.lines()).map(({ value }) => value), [8]);
  },
);

chipTest(
  "after a sleep the chip joins the same access point with the same address, and in the usual way if that fails",
  async () => {
    await using all = await listen();
    await using chip = await sleeper(all.port);
    const { board, sleeps } = chip;
    await sleeps.asleep(board, 1);
    assertEquals(board.join!.known, undefined);
    sleeps.wake();
    await sleeps.asleep(board, 2);
    assertEquals(board.joins, 2);
    assertEquals(board.join!.known?.channel, 6);
    assertEquals(board.join!.known?.bssid, "02005e1031a7");
    assertEquals(board.join!.known?.ip?.address, "192.168.1.31");
    board.wifiKnown = "silent"; // the access point is another one now
    sleeps.wake();
    await sleeps.asleep(board, 3);
    assertEquals(board.joins, 4);
    assertEquals(board.join!.known, undefined);
    assert(board.lines.includes("holdfast: wifi down reason=no-answer"));
    board.wifiKnown = undefined;
    sleeps.wake();
    await sleeps.asleep(board, 4);
    assertEquals([board.joins, board.join!.known?.channel], [5, 6]);
    assertEquals(readings(all.lines()).length, 4);
  },
);

chipTest(
  "an address is not used for longer than half of the time for which it was given",
  async () => {
    await using all = await listen();
    await using chip = await sleeper(all.port);
    const { board, sleeps } = chip;
    board.lease = 1500; // seconds: the second wake is at 600, the third at 1200
    await sleeps.asleep(board, 1);
    sleeps.wake();
    await sleeps.asleep(board, 2);
    assertEquals(board.join!.known?.ip?.address, "192.168.1.31");
    sleeps.wake();
    await sleeps.asleep(board, 3);
    assertEquals([board.join!.known?.channel, board.join!.known?.ip], [6, undefined]);
  },
);

chipTest("what is set while the chip sleeps arrives when it wakes", async () => {
  await using all = await listen();
  await using chip = await sleeper(all.port, {
    source: `
      export * from "../assembly/core";
      import { begin, log, QOS, send, sleep, text } from "../assembly/app";
      export function onStart(): void {
        begin(5);
        text("awake");
        send(QOS);
        sleep(5000);
      }
      export function onMessage(ptr: usize, length: i32): void { log(ptr, length); }
    `,
  });
  const { board, sleeps } = chip;
  await sleeps.asleep(board, 1);
  const device = await all.server.device("chip");
  await until(() => device.asleepUntil, { what: "the server to know that it sleeps" });
  const [early, late] = [device.write("for a second", { expires: 50 }), device.write("hello")];
  assertEquals(await early.catch(({ code }) => code), "EXPIRED");
  const awake = device.ready();
  sleeps.wake();
  await awake;
  assert(await late);
  await sleeps.asleep(board, 2);
  assertEquals(board.lines.filter((line) => line.startsWith("app: ")), ["app: hello"]);
});

chipTest("a sleep that is too long for the chip is divided into several", async () => {
  await using all = await listen();
  await using chip = await sleeper(all.port, {
    source: `
      export * from "../assembly/core";
      import { hello, sleep, woke } from "../assembly/app";
      export function onStart(): void {
        hello(woke() ? "@awake 1" : "@new 1");
        sleep(20000000);
      }
    `,
  });
  const { board, sleeps } = chip;
  for (let n = 1; n <= 4; n++) {
    await sleeps.asleep(board, n);
    sleeps.wake();
  }
  await sleeps.asleep(board, 5);
  assertEquals(sleeps.ms.slice(0, 3), [9_000_000, 9_000_000, 2_000_000]);
  assertEquals(board.joins, 2, "between them it does not look for its WiFi");
  assertEquals(all.lines(), ["@new 1", "@awake 1"]);
  const [first] = all.events.filter((event) => event.event === "asleep");
  const left = first!.until.getTime() - Date.now();
  assert(left <= 20_000_000 && left > 20_000_000 - 10 * AWAKE, `${left} ms are left`);
});

chipTest(
  "deploys reach a chip that sleeps, and an application on trial does not sleep before it is kept",
  async () => {
    const speed = 20; // a trial takes 30 s on the chip's clock
    await using all = await listen();
    const sleeps = new Sleeps();
    await using board = await plugIn({
      port: all.port,
      id: "chip",
      application: application("main"),
      sleep: sleeps.sleep,
      speed,
      settings: { timeout: 2000 * speed },
    });
    const device = await all.server.device("chip");
    await device.deploy(application("battery").wasm, { name: "battery", version: 2 });
    await sleeps.asleep(board, 1);
    const lines = all.lines();
    assertEquals(lines.filter((line) => line === "@battery 1").length, 1, "it has started once");
    assertEquals(board.boots, 2);
    assertMatch(device.metadata, /reset=software .*app=battery\/2\//);
    sleeps.wake();
    await sleeps.asleep(board, 2);
    assertEquals(readings(all.lines()).length, 1);
    assertMatch(device.metadata, /reset=wake .*app=battery\/2\//);
    // A deploy that waits for a sleeping chip keeps it awake after it wakes, as long as pieces arrive: half a second at
    // this speed. Pieces that have arrived need not come again.
    await until(() => device.asleepUntil, { what: "the server to know that it sleeps" });
    const deployed = device.deploy(application("main").wasm, { name: "main", version: 3 });
    let isKept = false;
    deployed.then(() => isKept = true);
    await until(() => {
      board.check();
      if (board.asleep) sleeps.wake();
      return isKept;
    }, {
      timeout: 120_000,
      what: () => `main to be kept:\n  ${board.lines.slice(-15).join("\n  ")}`,
    });
    await deployed;
    assertMatch(device.metadata, /app=main\/3\//);
  },
);

toolTest(
  "memory that is kept over a sleep is read and written in words, as the chip requires",
  { ...chipTools, gcc: "gcc", "xtensa-lx106-elf-nm": "binutils-xtensa-lx106" },
  async ({ gcc }) => {
    const folder = await Deno.makeTempDir();
    try {
      await using all = await listen();
      const watch = await Watch.prepare(gcc, folder, await firmware());
      await using chip = await sleeper(all.port, { arguments: watch.arguments });
      const { board, sleeps } = chip;
      const look = () => {
        const { stores, illegal, where } = watch.counters; // of this run of the chip
        assert(stores > 100, `only ${stores} stores to memory for words were seen`);
        assertEquals(illegal, 0, `${illegal} accesses that the chip cannot do, the last ${where}`);
      };
      await sleeps.asleep(board, 1);
      look();
      for (const wifi of ["not-found", "up"] as const) {
        board.wifi = wifi;
        sleeps.wake();
        await sleeps.asleep(board, sleeps.ms.length + 1);
        look();
      }
      assertEquals(readings(all.lines()).length, 3);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

chipTest(
  "messages that do not fit into the kept memory keep the chip awake, and the application is told",
  async () => {
    await using all = await listen();
    await using chip = await sleeper(all.port, {
      source: `
      export * from "../assembly/core";
      import { begin, byte, every, KEPT, keep, number, QOS, send, show, sleep, text } from "../assembly/app";
      const OWN: usize = memory.data(4, 4);
      export function onStart(): void {
        keep(KEPT - 44, OWN, 4); // from here on 40 bytes are left for what waits
        every(100);
      }
      function tell(): void {
        begin(20);
        text("0123456789012345678");
        send(QOS);
      }
      export function onTick(): void {
        every(0);
        tell();
        tell();
        const two = sleep(1000); // 40 bytes
        tell();
        const three = sleep(1000);
        begin(20);
        text("two ");
        number(two);
        text(" three ");
        number(three);
        show();
        sleep(0);
      }
    `,
    });
    const { board } = chip;
    assertEquals(await line(board, "app: "), "app: two 1 three 0");
    const told: string[] = [];
    await until(() => told.push(...all.lines()) === 3, { what: "all of it" });
    assertEquals(board.sleeps, 0);
  },
);
