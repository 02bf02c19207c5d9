/**
 * The real, unmodified `pb_link` of micropython-iot in a Unix MicroPython, over simulated wires, against
 * our responder and our server. `tests/interop/README.md` says how to point at them; in addition,
 * HOLDFAST_PRIMITIVES names the `v3` folder of a micropython-async of 2020, whose `primitives` it needs.
 */
import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";
import { tool } from "../support/tools.ts";
import { Testbed } from "./testbed.ts";
import { PythonInitiator } from "./python.ts";
import { EmulatorStation } from "./emulator_station.ts";
import { Station } from "./station.ts";
import { faults, type MakeInitiator, Trial } from "./trial.ts";
import { application, firmware } from "../firmware/support.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const reference = Deno.env.get("HOLDFAST_REFERENCE");
const micropython = Deno.env.get("HOLDFAST_MICROPYTHON");
const primitives = Deno.env.get("HOLDFAST_PRIMITIVES");
const library = Deno.env.get("HOLDFAST_MICROPYTHON_LIB");
/** Longest time in us between an initiator's pin and its I2C. */
const LATENCY = 400;

function pbLinkTest(
  name: string,
  body: (testbed: Testbed, make: MakeInitiator) => Promise<void>,
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
      await using testbed = await Testbed.open(tool("gcc", "gcc")!, { latency: LATENCY });
      await body(testbed, ({ port, timeout, heard, sent }) =>
        new PythonInitiator(testbed, {
          command: micropython!,
          args: [here("pb_device.py"), "1\n", "127.0.0.1", `${port}`, `${timeout}`],
          path: [
            here("shims"),
            here("../interop/shims"),
            reference!,
            primitives!,
            ...(library ? [library] : []),
          ],
          heard,
          sent,
        }));
    },
  });
}

/**
 * If any responder is reset while `pb_link` waits to write, two of its tasks wait for one stream: one with the line
 * and, after the reset, one with the configuration. asyncio remembers only one of them, and the writer never resumes.
 * So this waits until nothing is being written.
 */
async function resetInPeace(trial: Trial): Promise<void> {
  const last = trial.written.at(-1);
  await trial.until(
    () => trial.initiator.pending === 0 && trial.sent.at(-1) === last,
    "all lines to be sent",
  );
  const { boots } = trial.station;
  trial.station.reset();
  // It notices in its next exchange, and resets the board once more.
  await trial.until(() => trial.station.boots > boots + 1 && trial.station.linked, "a new start");
}

/** The responder's board: the application in this process, or machine code on an emulated chip. */
const stations = {
  "on the host": () => (testbed: Testbed) => new Station(testbed),
  "on an emulated chip": async () => {
    const options = {
      firmware: await firmware(["-DFLAVOUR_PYBOARD"], application("pyboard")),
      settings: { ssid: "Home", password: "12345678" },
    };
    return (testbed: Testbed) => new EmulatorStation(testbed, options);
  },
};

for (const [where, station] of Object.entries(stations)) {
  pbLinkTest(
    `pb_link: 500 messages each way arrive through all faults, with the responder ${where}`,
    async (testbed, make) => {
      await using trial = await Trial.start(testbed, make, await station());
      // If a busy machine makes an exchange fail, the same race can stop the writer: then its board is reset.
      trial.patience = 20_000;
      const restart = (trial: Trial) => trial.restartInitiator();
      const { "the responder is reset": _, ...network } = faults;
      const all = [...Object.values(network), resetInPeace, restart];
      await trial.run(500, [...all, ...all]);
      assert(trial.restarts >= 2 && trial.restarts <= 6, `${trial.restarts} restarts`);
      assert(trial.station.boots >= 4, `${trial.station.boots} starts`);
      await trial.assertExact({ all: false, twice: true });
    },
  );
}

pbLinkTest(
  "pb_link: nothing is missing if only the network and the server fail",
  async (testbed, make) => {
    await using trial = await Trial.start(testbed, make);
    const { "the responder is reset": _, ...network } = faults;
    await trial.run(100, Object.values(network));
    assert(trial.initiator.told.filter((line) => line === "u").length > 1);
    assert(trial.initiator.told.some((line) => line.startsWith("r[")));
    await trial.assertExact({ all: true });
  },
);
