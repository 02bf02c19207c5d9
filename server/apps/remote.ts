/**
 * A switch on one board works the LED on another; the devices' sides are `remote_tx` and `remote_rx`
 * in `client-as/examples/`. Qos is off, so a message goes out at once and once. What an outage swallows
 * is made up for at its end: "tx" then sends its level again, and "rx" asks for the latest.
 */
import type { App, Device, Server } from "../mod.ts";
import { type DemoOptions } from "./demo.ts";

/** The application. */
export function remote({ print = console.log }: Pick<DemoOptions, "print"> = {}): App {
  let latest: string | undefined;
  return async (device: Device, server: Server) => {
    const [tx, rx] = await server.waitAll(["tx", "rx"]); // both, before anything happens
    const pass = async () => {
      if (latest === undefined) return;
      const sent = await rx!.write(latest, { qos: false });
      print(`rx: ${sent ? "sent" : "no link for"} ${latest}`);
    };
    if (device === tx) {
      for await (latest of tx) await pass();
    } else if (device === rx) {
      for await (const _request of rx) await pass();
    }
  };
}

export default remote();
