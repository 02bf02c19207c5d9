/** A simulated board that sleeps: what it keeps, and when it stays awake. */
import { assert, assertEquals } from "@std/assert";
import { channels, type Device, Server } from "../../server/mod.ts";
import { compile } from "../../tests/support/compile.ts";
import { until } from "../../tests/support/wait.ts";
import { Core, coreModule } from "./core.ts";
import { chipSize } from "./core_size.ts";
import { Board, type BoardOptions, Kept, loadModule } from "./mod.ts";
import { coreOptions } from "./options.ts";

const BATTERY = loadModule(new URL("../../client-as/build/battery.wasm", import.meta.url));
const TEN_MINUTES = 600_000;

/** A server, and the lines that it has received. */
async function listen() {
  const lines: string[] = [];
  const app = async (device: Device) => {
    for await (const line of device) lines.push(line);
  };
  const server = await Server.listen({ port: 0, open: true, app });
  return { server, lines, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Runs a board until it sleeps or is switched off. */
async function runs(options: Partial<BoardOptions> & { kept: Kept }) {
  await using board = new Board({ application: BATTERY, id: "1", ...options });
  await board.ended;
}

Deno.test("a board sleeps when all is acknowledged, and goes on with its stream and its time", async () => {
  await using all = await listen();
  let boots = 0;
  all.server.events.subscribe(({ event }) => void (boots += Number(event === "booted")));
  const kept = new Kept();
  for (let n = 0; n < 3; n++) {
    await runs({ kept, port: all.server.port });
    assertEquals(kept.asleep?.ms, TEN_MINUTES);
    assertEquals(kept.asleep?.waiting, []);
  }
  await until(() => all.lines.length === 4, { what: "four lines" });
  const [first, ...readings] = all.lines;
  assertEquals(first, "@battery 1");
  const stamps = readings.map((line) => Number(line.match(/^=temp@(\d+) /)![1]));
  for (const [n, stamp] of stamps.entries()) {
    if (n > 0) assert(stamp - stamps[n - 1]! >= TEN_MINUTES, `${stamps}`);
  }
  assertEquals(boots, 1);
  const device = await all.server.device("1");
  await until(() => device.asleepUntil, { what: "the server to know that it sleeps" });
});

Deno.test("messages waiting in a sleeping board arrive once, with their time", async () => {
  const kept = new Kept();
  const silent = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = silent.addr as Deno.NetAddr;
  silent.close();
  await runs({ kept, port, speed: 50 });
  assertEquals(kept.asleep!.waiting.length, 2);
  const told: [unknown, number][] = [];
  const note = channels({ temp: (value, { at }) => void told.push([value, at!.getTime()]) });
  await using server = await Server.listen({ port: 0, open: true, app: note });
  await runs({ kept, port: server.port });
  await until(() => told.length === 2, { what: "both readings" });
  const apart = told[1]![1] - told[0]![1];
  assert(apart >= TEN_MINUTES && apart < TEN_MINUTES + 60_000, `${apart} ms`);
});

Deno.test("a message withdrawn before a sleep stays withdrawn after the next one", () => {
  const core = new Core(coreModule(), {}, coreOptions({ id: "1" }, chipSize), 0);
  assert(core.writeWithdrawn());
  assert(core.write(new TextEncoder().encode("21.5"), true, true));
  assertEquals(core.outbox, [undefined, new TextEncoder().encode("21.5")]);
});

Deno.test("a board that no longer wants to sleep says so, and stays connected", async () => {
  const wasm = await compile(`
    export * from "../assembly/core";
    import { begin, every, QOS, send, sleep, text } from "../assembly/app";
    let ticks = 0;
    export function onStart(): void {
      every(20);
    }
    export function onState(up: bool): void {
      if (!up) return;
      begin(5);
      text("first");
      send(QOS);
      sleep(1000);
      sleep(0);
    }
    export function onTick(): void {
      if (ticks++ != 10) return;
      begin(6);
      text("second");
      send(QOS);
    }
  `);
  await using all = await listen();
  await using board = new Board({
    application: new WebAssembly.Module(wasm),
    id: "1",
    port: all.server.port,
  });
  await until(() => all.lines.length === 2, { what: "both lines" });
  assertEquals(all.lines, ["first", "second"]);
  assert(board.connected);
});
