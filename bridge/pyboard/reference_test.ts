/**
 * The real, unmodified `pb_link` of micropython-iot in a Unix MicroPython, over simulated wires, against
 * our responder and our server. `tests/interop/README.md` says how to point at them; in addition,
 * HOLDFAST_PRIMITIVES names the `v3` folder of a micropython-async of 2020, whose `primitives` it needs.
 */
import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";
import { tool } from "../../tests/support/tools.ts";
import { Bench } from "./bench/bench.ts";
import { PythonInitiator } from "./bench/python.ts";
import { SimStation } from "./bench/sim_station.ts";
import { faults, type MakeInitiator, Trial } from "./bench/trial.ts";
import { application, firmware } from "../../tests/firmware/support.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const reference = Deno.env.get("HOLDFAST_REFERENCE");
const micropython = Deno.env.get("HOLDFAST_MICROPYTHON");
const primitives = Deno.env.get("HOLDFAST_PRIMITIVES");
const library = Deno.env.get("HOLDFAST_MICROPYTHON_LIB");
/** Most time in us between an initiator's pin and its I2C. */
const LATENCY = 400;

/** `slowness`: how many times longer it waits than a Pyboard, for a responder that is slow. */
function pbLinkTest(
  name: string,
  body: (bench: Bench, make: MakeInitiator) => Promise<void>,
  { slowness }: { slowness?: number } = {},
): void {
  const missing = Object.entries({
    HOLDFAST_REFERENCE: reference,
    HOLDFAST_MICROPYTHON: micropython,
    HOLDFAST_PRIMITIVES: primitives,
  }).filter(([, value]) => !value).map(([name]) => name);
  const ignore = missing.length > 0;
  const how = ` [set ${missing.join(", ")} to run it, see bridge/pyboard/README.md]`;
  Deno.test({
    name: ignore ? name + how : name,
    ignore,
    fn: async () => {
      await using bench = await Bench.open(tool("gcc", "gcc")!, {
        latency: LATENCY,
        ...(slowness ? { slaveWait: 5000 * slowness } : {}),
      });
      await body(bench, ({ port, timeout, heard, sent }) =>
        new PythonInitiator(bench, {
          command: micropython!,
          args: [here("bench/pb_device.py"), "1\n", "127.0.0.1", `${port}`, `${timeout}`],
          path: [
            here("bench/shims"),
            here("../../tests/interop/shims"),
            reference!,
            primitives!,
            ...(library ? [library] : []),
          ],
          ...(slowness ? { env: { HOLDFAST_SLOWNESS: `${slowness}` } } : {}),
          heard,
          sent,
        }));
    },
  });
}

/**
 * If the responder is reset while `pb_link` waits to write, two of its tasks wait for one stream then: the
 * line and, after the reset, the configuration. asyncio remembers one of them only, and the writer never
 * comes back, whoever the responder is. So it is not writing here.
 */
async function resetInPeace(trial: Trial): Promise<void> {
  const last = trial.written.at(-1);
  await trial.until(
    () => trial.initiator.pending === 0 && trial.sent.at(-1) === last,
    "all lines to be sent",
  );
  const { boots } = trial.station;
  trial.station.reset();
  // It notices by its next exchange, and resets the board once more.
  await trial.until(() => trial.station.boots > boots + 1 && trial.station.linked, "a new start");
}

pbLinkTest("pb_link: 500 messages each way, whatever fails", async (bench, make) => {
  await using trial = await Trial.start(bench, make);
  // When the machine is so busy that an exchange fails, the same race can end the writer: its board is reset.
  trial.patience = 20_000;
  const restart = (trial: Trial) => trial.restartInitiator();
  const { "the responder is reset": _, ...network } = faults;
  const all = [...Object.values(network), resetInPeace, restart];
  await trial.run(500, [...all, ...all]);
  assert(trial.restarts <= 6, `${trial.restarts} restarts`);
  await trial.assertExact({ all: false, twice: true });
});

pbLinkTest(
  "pb_link: nothing is missing when only the network and the server fail",
  async (bench, make) => {
    await using trial = await Trial.start(bench, make);
    const { "the responder is reset": _, ...network } = faults;
    await trial.run(100, Object.values(network));
    assert(trial.initiator.told.filter((line) => line === "u").length > 1);
    assert(trial.initiator.told.some((line) => line.startsWith("r[")));
    await trial.assertExact({ all: true });
  },
);

pbLinkTest(
  "pb_link: 14 messages each way with the responder on an emulated chip, and resets of both",
  async (bench, make) => {
    const options = {
      firmware: await firmware(["-DFLAVOUR_PYBOARD"], application("pyboard")),
      settings: { ssid: "Home", password: "12345678" },
    };
    const station = (bench: Bench) => new SimStation(bench, options);
    await using trial = await Trial.start(bench, make, station, 10_000);
    trial.limit = 300_000;
    // Its lines can get before its configuration, see the README: then its board is reset as well.
    trial.patience = 40_000;
    const restart = (trial: Trial) => trial.restartInitiator();
    const { "the responder is reset": _, ...network } = faults;
    await trial.run(14, [...Object.values(network), resetInPeace, restart]);
    assert(trial.restarts >= 1 && trial.restarts <= 4, `${trial.restarts} restarts`);
    assert(trial.station.boots >= 4, `${trial.station.boots} starts`);
    await trial.assertExact({ all: false, twice: true });
  },
  // Every level of a bus line is a message between the emulator and this process: bytes take ms, not us.
  { slowness: 12 },
);
