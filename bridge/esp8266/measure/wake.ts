/**
 * Measures a chip's work from its wake until its reading is acknowledged and it sleeps again: the firmware's
 * instructions and its waits. The radio is left out, as the emulator has none.
 *
 * @module
 */
import { Server } from "../../../server/mod.ts";
import { BuildError } from "../errors.ts";
import { Emulator } from "../emulator/emulator.ts";
import { buildEmulator } from "../targets/emulator/build.ts";

/** The steps that the chip prints under MEASURE_WAKE, and what it has done since the step before. */
const STEPS: Readonly<Record<string, string>> = {
  "join": "start: the application compiled, its reading written",
  "up": "waits for WiFi",
  "connect": "finds its server's address",
  "opened": "waits for TCP: a round trip",
  "send": "hello, proof, readings, acks",
  "data": "waits for the server: a round trip",
  "sleep": "handles the answer, saves, sleeps",
};

/** Instructions of one step, and whether they end in a wait. */
export interface WakeStep {
  readonly step: string;
  readonly instructions: number;
}

/** Suites of the firmware. */
type WakeSuite = 0 | 3 | 4;

/** The cost of one wake. */
export interface Wake {
  /** The suite: 0 without a key. */
  readonly suite: WakeSuite;
  readonly steps: readonly WakeStep[];
  /** Instructions from start to sleep. */
  readonly instructions: number;
  /** Answers of the server that it waited for, including TCP's. */
  readonly roundTrips: number;
}

/** How long a wake may take, in ms: it runs one instruction at a time. */
const PATIENCE = 120_000;

/** Builds, and runs the thermometer on a battery in each suite. @throws {BuildError} */
export async function measureWakes(folder: string): Promise<Wake[]> {
  const wasm = await Deno.readFile(
    new URL("../../../client-as/build/battery.wasm", import.meta.url),
  );
  const firmware = await buildEmulator(folder, "0.1.0", { defines: ["-DMEASURE_WAKE"] });
  const wakes: Wake[] = [];
  for (const suite of [0, 3, 4] as const) wakes.push(await wake(firmware, wasm, suite));
  return wakes;
}

/** The second of two wakes, in which the chip already knows its access point. */
async function wake(firmware: string, wasm: Uint8Array, suite: WakeSuite): Promise<Wake> {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const keys = suite === 0 ? { open: true } : { keys: [["battery", key.toHex()] as const] };
  await using server = await Server.listen({ port: 0, ...keys });
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(
    () => reject(new BuildError(`the chip did not sleep within ${PATIENCE} ms`)),
    PATIENCE,
  );
  let lines: string[] = [];
  let sleeps = 0;
  try {
    await using _board = new Emulator({
      firmware,
      application: { name: "battery", wasm },
      settings: {
        ssid: "measured",
        server: "127.0.0.1",
        port: server.port,
        id: "battery",
        ...(suite === 0 ? {} : { key, suite }),
      },
      arguments: ["-icount", "shift=0"],
      watchdog: PATIENCE,
      onLine: (line) => void lines.push(line),
      sleep: () => {
        if (++sleeps === 2) resolve();
        else lines = [];
        return Promise.resolve();
      },
    });
    await done;
    return account(lines, suite);
  } finally {
    clearTimeout(late);
  }
}

function account(lines: readonly string[], suite: WakeSuite): Wake {
  const steps: WakeStep[] = [];
  let [start, before] = [0, 0];
  for (const line of lines) {
    const [, step, at] = line.match(/^holdfast: at (\w+)=(\d+)$/) ?? [];
    if (step === undefined) continue;
    if (step === "start") start = Number(at);
    else steps.push({ step, instructions: Number(at) - before });
    before = Number(at);
  }
  const roundTrips = steps.filter(({ step }) => step === "opened" || step === "data").length;
  return { suite, steps, instructions: before - start, roundTrips };
}

/** The results as a table. */
export function showWakes(wakes: readonly Wake[]): string {
  return wakes.flatMap(({ suite, steps, instructions, roundTrips }) => [
    `a wake ${
      suite === 0 ? "without a key" : `in suite 0${suite}`
    }, to its end: ${instructions} instructions, ` +
    `${roundTrips} round trips`,
    ...steps.map(({ step, instructions }) =>
      `${String(instructions).padStart(10)}  ${step.padEnd(8)} ${STEPS[step] ?? ""}`.trimEnd()
    ),
  ]).join("\n");
}
