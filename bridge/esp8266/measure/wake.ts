/**
 * What a chip that wakes has to do until its reading is acknowledged and it sleeps again: instructions of the firmware,
 * and how often it waits for what. The radio is not in it, as there is none.
 *
 * @module
 */
import { Server } from "../../../server/mod.ts";
import { BuildError } from "../errors.ts";
import { Emulator } from "../emulator/emulator.ts";
import { buildEmulator } from "../targets/emulator/build.ts";

/** What the chip says under MEASURE_WAKE, and what it has done between that and the one before. */
const STEPS: Readonly<Record<string, string>> = {
  "join": "start: the application compiled, its reading written",
  "up": "waits for WiFi",
  "connect": "looks where its server is",
  "opened": "waits for TCP: a round trip",
  "send": "hello, proof, readings, acks",
  "data": "waits for the server: a round trip",
  "sleep": "takes what has come, saves, sleeps",
};

/** Instructions of one step, and whether they end in a wait. */
export interface WakeStep {
  readonly step: string;
  readonly instructions: number;
}

/** Suites of the firmware. */
type WakeSuite = 0 | 3 | 4;

/** What one wake takes. */
export interface Wake {
  /** What is spoken: 0 without a key. */
  readonly suite: WakeSuite;
  readonly steps: readonly WakeStep[];
  /** From start to sleep. */
  readonly instructions: number;
  /** Answers of the server's that it waited for, TCP's among them. */
  readonly roundTrips: number;
}

/** How long a wake may take that is run one instruction at a time, in ms. */
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

/** The second of two wakes: before it the chip knows how its WiFi was joined. */
async function wake(firmware: string, wasm: Uint8Array, suite: WakeSuite): Promise<Wake> {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const keys = suite === 0 ? { open: true } : { keys: [["battery", key.toHex()] as const] };
  await using server = await Server.listen({ port: 0, ...keys });
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(() => reject(new BuildError("the chip does not sleep")), PATIENCE);
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
