/** The examples with channels on a chip, interpreted and ahead of time: a server, an outage, a reset. */
import { door, logger, type PlugIn, thermostat } from "../support/channel_demos.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { application, chipTools, firmware, isUp, plugInBehindProxy } from "./support.ts";

/** A chip whose clock runs this many times faster than real time. */
function plugInAt(name: string, speed: number, elf?: string): PlugIn {
  return async (port, timeout) => {
    const chip = await plugInBehindProxy({
      ...(elf === undefined ? { application: application(name) } : { firmware: elf }),
      id: "1",
      port,
      speed,
      settings: { timeout: timeout * speed },
    });
    const { board, proxy } = chip;
    const link = (up: boolean, what: string) =>
      until(() => {
        board.check();
        return isUp(board) === up;
      }, { what: () => `${what}, after:\n  ${board.lines.slice(-12).join("\n  ")}` });
    return {
      pin: (pin) => board.pin(pin),
      setPin: (pin, level) => board.setPin(pin, level),
      setAnalogue: (value) => board.setAnalogue(value),
      async cut() {
        await link(true, "the link");
        proxy.blackhole();
        await link(false, "the outage to be noticed");
      },
      async mend() {
        proxy.restore({ drop: true });
        await link(true, "the link to be back");
      },
      async reset() {
        const { boots } = board;
        board.reset("external");
        await until(() => board.boots > boots, { what: "the reset" });
      },
      [Symbol.asyncDispose]: () => chip[Symbol.asyncDispose](),
    };
  };
}

const EXAMPLES = [
  { name: "thermostat", run: thermostat, speed: 50 },
  { name: "door", run: door, speed: 10 },
  { name: "logger", run: logger, speed: 5 },
];

for (const { name, run, speed } of EXAMPLES) {
  toolTest(`${name} on a chip does what it does on a computer`, chipTools, async () => {
    await run(plugInAt(name, speed));
  });
  toolTest<string>(
    `${name} on a chip ahead of time does the same`,
    { ...chipTools, wasm2c: "wabt" },
    async () => {
      await run(plugInAt(name, speed, await firmware([], application(name))));
    },
  );
}
