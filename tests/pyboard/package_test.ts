/** The package for MicroPython as the initiator, with a real server, through all faults. */
import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";
import { tool, toolTest } from "../support/tools.ts";
import { PythonInitiator } from "./python.ts";
import { Testbed } from "./testbed.ts";
import { faults, type MakeInitiator, Trial } from "./trial.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The package for MicroPython, in this interpreter. */
function python(testbed: Testbed, command: string): MakeInitiator {
  return ({ port, timeout, heard, sent }) =>
    new PythonInitiator(testbed, {
      command,
      args: [here("link_device.py"), "1", "127.0.0.1", `${port}`, `${timeout}`],
      path: [here("shims"), here("../../bridge/pyboard/micropython")],
      heard,
      sent,
    });
}

async function throughEverything(testbed: Testbed, make: MakeInitiator): Promise<void> {
  await using trial = await Trial.start(testbed, make);
  await trial.run(60, Object.values(faults));
  assert(trial.initiator.told.some((line) => line.startsWith("r[")), `${trial.initiator.told}`);
  await trial.assertExact({ all: true });
}

toolTest(
  "the package for MicroPython loses no message under CPython",
  { gcc: "gcc", python3: "python3" },
  async ({ gcc, python3 }) => {
    await using testbed = await Testbed.open(gcc);
    await throughEverything(testbed, python(testbed, python3));
  },
);

const micropython = Deno.env.get("HOLDFAST_MICROPYTHON");
Deno.test({
  name: `the package for MicroPython loses no message${
    micropython ? "" : " [set HOLDFAST_MICROPYTHON to run it]"
  }`,
  ignore: !micropython,
  fn: async () => {
    await using testbed = await Testbed.open(tool("gcc", "gcc")!, { latency: 400 });
    await throughEverything(testbed, python(testbed, micropython!));
  },
});
