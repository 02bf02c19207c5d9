/** The examples with channels end to end, on this computer: the compiled application, a server, an outage, a reset. */
import { Board, Kept, loadModule } from "../../bridge/host/mod.ts";
import { door, logger, type Part, type PlugIn, thermostat } from "../support/channel_demos.ts";
import { FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";

/** A board whose application ticks this many times faster than it asks for. */
function plugInAt(name: string, speed: number): PlugIn {
  return async (port, timeout) => {
    const proxy = await FaultProxy.start({ target: { port } });
    const application = loadModule(new URL(`../../client-as/build/${name}.wasm`, import.meta.url));
    const kept = new Kept();
    const start = () => new Board({ application, id: "1", port: proxy.port, timeout, speed, kept });
    let board = start();
    let analogue = 0;
    const part: Part = {
      pin: (pin) => board.pin(pin),
      setPin: (pin, level) => board.setPin(pin, level),
      setAnalogue: (value) => analogue = board.analogue = value,
      async cut() {
        await until(() => board.connected, { what: "the link" });
        proxy.blackhole();
        await until(() => !board.connected, { what: "the outage to be noticed" });
      },
      async mend() {
        proxy.restore({ drop: true });
        await until(() => board.connected, { what: "the link to be back" });
      },
      async reset() {
        await board.close();
        board = start();
        board.analogue = analogue;
      },
    };
    const close = async () => {
      await board.close();
      await proxy[Symbol.asyncDispose]();
    };
    return { ...part, [Symbol.asyncDispose]: close };
  };
}

Deno.test("thermostat: it heats by its target through outages and resets, and the server knows", async () => {
  await thermostat(plugInAt("thermostat", 250));
});

Deno.test("door: it opens once, is then busy, and reports its contact", async () => {
  await door(plugInAt("door", 10));
});

Deno.test("logger: no reading of an outage is lost, and each has its time", async () => {
  await logger(plugInAt("logger", 20));
});
