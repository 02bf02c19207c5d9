/** Deep sleep on a chip: what waits, whose number and time it has, and how the WiFi is joined after it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Server, type ServerEvent } from "../../server/mod.ts";
import type { Emulator, EmulatorOptions } from "../../bridge/esp8266/emulator/emulator.ts";
import { compile } from "../support/compile.ts";
import { until } from "../support/wait.ts";
import { chipTest, line, plugIn } from "./support.ts";

/** Reads once, tells of it, and sleeps for ten minutes. */
const THERMOMETER = `
export * from "../assembly/core";
import { adc_read, hello, millis, number, QOS, send, sleep, tellAt, woke } from "../assembly/app";
export function onStart(): void {
  if (!woke()) hello("@thermometer 1");
  tellAt("=temp", millis());
  number(adc_read());
  send(QOS);
  sleep(600000);
}
`;

const TEN_MINUTES = 600_000;

const builds = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
function built(source: string): Promise<Uint8Array<ArrayBuffer>> {
  const known = builds.get(source) ?? compile(source);
  builds.set(source, known);
  return known;
}

/** Sleeps of a chip that take as long as a test wants. */
class Nights {
  /** How long each was to be, in ms. */
  readonly ms: number[] = [];
  #morning: (() => void) | undefined;
  /** For the emulator. */
  readonly sleep = (ms: number): Promise<void> => {
    this.ms.push(ms);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#morning = resolve;
    return promise;
  };

  /** Waits until the chip sleeps for the n-th time. */
  async asleep(board: Emulator, n: number): Promise<void> {
    await until(() => {
      board.check();
      return this.ms.length >= n && board.asleep;
    }, { what: () => `sleep ${n}, after:\n  ${board.lines.slice(-15).join("\n  ")}` });
  }

  /** It is over. */
  wake(): void {
    this.#morning?.();
  }
}

/** A board with that application, and the sleeps that it makes. */
async function sleeper(
  port: number,
  source = THERMOMETER,
  options: Partial<EmulatorOptions> = {},
): Promise<{ board: Emulator; nights: Nights } & AsyncDisposable> {
  const nights = new Nights();
  const application = { name: "sleeper", wasm: await built(source) };
  const board = await plugIn({ port, id: "chip", application, sleep: nights.sleep, ...options });
  return { board, nights, [Symbol.asyncDispose]: () => board[Symbol.asyncDispose]() };
}

chipTest("a reading is told, then the chip sleeps; after it the stream goes on", async () => {
  await using server = await Server.listen({ port: 0, open: true });
  const events: ServerEvent[] = [];
  server.events.subscribe((event) => void events.push(event));
  await using chip = await sleeper(server.port);
  const { board, nights } = chip;
  const device = await server.device("chip");
  board.setAnalogue(21);
  for (let n = 1; n <= 3; n++) {
    await nights.asleep(board, n);
    assertEquals(nights.ms, Array(n).fill(TEN_MINUTES));
    assertMatch(board.lines.at(-1)!, /^holdfast: sleep ms=600000 waiting=0$/);
    board.setAnalogue(21 + n);
    nights.wake();
  }
  await nights.asleep(board, 4);
  const lines = [];
  while (device.inbox > 0) lines.push(await device.readline());
  assertEquals(lines[0], "@thermometer 1");
  assertEquals(lines.length, 5);
  const stamps = lines.slice(1).map((line) => Number(line.match(/^=temp@(\d+) 2\d$/)?.[1]));
  for (const [n, stamp] of stamps.entries()) {
    if (n === 0) continue;
    const passed = stamp - stamps[n - 1]!;
    assert(passed >= TEN_MINUTES && passed < TEN_MINUTES + 10_000, `${passed} ms passed`);
  }
  assertEquals(events.filter(({ event }) => event === "booted").length, 1, "it is one stream");
  assertEquals(board.lines.filter((line) => line.includes("reset=wake")).length, 3);
});
