/** The Pyboard link on a chip: its machine code, its own I2C driver, the wires, and a real server. */
import { assert, assertEquals } from "@std/assert";
import { BUDGET, heapLeft } from "../../bridge/esp8266/targets/nonos/build.ts";
import { Server } from "../../server/mod.ts";
import { Testbed } from "../pyboard/testbed.ts";
import { LocalInitiator } from "../pyboard/initiator.ts";
import { EmulatorStation } from "../pyboard/emulator_station.ts";
import { faults, Trial } from "../pyboard/trial.ts";
import { until } from "../support/wait.ts";
import { tool, toolTest } from "../support/tools.ts";
import { application, chipTools, firmware } from "./support.ts";
import { Watch } from "./watched.ts";

/** The flavour's own tool, besides those of the firmware. */
const WASM2C = { wasm2c: "wabt" };
/** The other board's timeout in ms: a `pb_link` waits longer for some things, and a machine can be busy. */
const PATIENCE = 3000;

toolTest(
  "500 messages each way over the Pyboard link on a chip, whatever fails: nothing is lost",
  { ...chipTools, ...WASM2C },
  async () => {
    const options = {
      firmware: await firmware(["-DFLAVOUR_PYBOARD"], application("pyboard")),
      settings: { ssid: "Home", password: "12345678" },
    };
    await using testbed = await Testbed.open(tool("gcc", "gcc")!);
    await using trial = await Trial.start(
      testbed,
      (about) => new LocalInitiator(testbed, { ...about, session: 9, patience: PATIENCE }),
      (testbed) => new EmulatorStation(testbed, options),
    );
    await trial.run(500, [...Object.values(faults), ...Object.values(faults)]);
    const { lines } = trial.station;
    assert(lines.some((line) => line.startsWith("holdfast: application name=pyboard")));
    assert(lines.includes("app: initiator configured"));
    await trial.assertExact({ all: true });
  },
);

const GCC = { gcc: "gcc", "xtensa-lx106-elf-nm": "binutils-xtensa-lx106" };

toolTest(
  "the Pyboard link stays within the budget for memory, and reads flash in words",
  { ...chipTools, ...WASM2C, ...GCC },
  async ({ gcc }) => {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir();
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const elf = await firmware(["-DMEASURE"], application("pyboard"));
    const watch = await Watch.prepare(gcc, folder, elf);
    const server = stack.use(await Server.listen({ port: 0, hostname: "127.0.0.1", open: true }));
    const testbed = stack.use(await Testbed.open(gcc));
    const station = stack.use(
      new EmulatorStation(testbed, {
        firmware: elf,
        settings: { ssid: "Home", password: "12345678" },
        arguments: watch.arguments,
      }),
    );
    const initiator = stack.use(
      new LocalInitiator(testbed, { port: server.port, session: 9, report: 1, patience: PATIENCE }),
    );
    initiator.write("x".repeat(60));
    const device = await server.device("1");
    assertEquals(await device.readline(), "x".repeat(60));
    await device.write("y".repeat(60));
    await until(() => initiator.heard.length === 1 && initiator.told.some((t) => t[0] === "r"), {
      what: () => `a message and a report\n${station.lines.join("\n")}\n${initiator.story()}`,
    });
    station.board.measure();
    const said = (name: string) =>
      Number(
        station.lines.findLast((l) => l.startsWith(`holdfast: memory ${name}=`))?.split("=")[1],
      );
    await until(() => said("c-stack") > 0, { what: "the measurements" });
    const heap = said("used") + said("globals");
    console.log(`${heap} bytes of RAM, ${said("c-stack")} of stack`);
    assertEquals(said("given"), said("used"));
    const left = heapLeft(BUDGET.dramLeft, said("given"));
    console.log(`${left} bytes of the chip's heap are left`);
    assert(left >= 40 * 1024);
    assert(heap > 4000 && heap <= 16 * 1024, `${heap} bytes of RAM`);
    assert(said("c-stack") <= 3 * 1024, `${said("c-stack")} bytes of stack`);
    const { loads, illegal, where } = watch.counters;
    assert(loads > 1000);
    assertEquals(illegal, 0, where);
  },
);
