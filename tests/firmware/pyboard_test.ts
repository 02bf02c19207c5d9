/** The Pyboard link on a chip: its machine code, its own I2C driver, the wires, and a real server behind all that. */
import { assert } from "@std/assert";
import { Bench } from "../../bridge/pyboard/bench/bench.ts";
import { BenchInitiator } from "../../bridge/pyboard/bench/initiator.ts";
import { SimStation } from "../../bridge/pyboard/bench/sim_station.ts";
import { faults, Trial } from "../../bridge/pyboard/bench/trial.ts";
import { tool, toolTest } from "../support/tools.ts";
import { application, chipTools, firmware } from "./support.ts";

/** The flavour's own tool, beside those of the firmware. */
const WASM2C = { wasm2c: "wabt" };
/** In ms: every level of a bus line is a message between the emulator and this process. */
const PATIENCE = 5000;

toolTest(
  "the Pyboard link on a chip loses nothing, whatever fails",
  { ...chipTools, ...WASM2C },
  async () => {
    const options = {
      firmware: await firmware(["-DFLAVOUR_PYBOARD"], application("pyboard")),
      settings: { ssid: "Home", password: "12345678" },
    };
    await using bench = await Bench.open(tool("gcc", "gcc")!);
    await using trial = await Trial.start(
      bench,
      (about) => new BenchInitiator(bench, { ...about, session: 9, patience: PATIENCE }),
      (bench) => new SimStation(bench, options),
    );
    await trial.run(40, Object.values(faults));
    const { lines } = trial.station;
    assert(lines.some((line) => line.startsWith("holdfast: application name=pyboard")));
    assert(lines.includes("app: initiator configured"));
    await trial.assertExact({ all: true });
  },
);
