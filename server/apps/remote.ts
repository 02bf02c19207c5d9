/**
 * A switch on one board works the LED on another; the devices' sides are `remote_tx` and `remote_rx`
 * in `client-as/examples/`. Qos is off, so a message goes out at once and once. What an outage swallows
 * is made up for at its end: "tx" then sends its level again, and "rx" is sent the latest at the beginning of each
 * connection, and whenever it asks. So micropython-iot's boards will do, of which "rx" does not ask after an outage.
 */
import type { App, Device, Server } from "../mod.ts";
import { type DemoOptions } from "./demo.ts";

/** The application. */
export function remote({ print = console.log }: Pick<DemoOptions, "print"> = {}): App {
  let latest: string | undefined;
  let news = Promise.withResolvers<void>();
  /** There is another level, or somebody who may not have it. */
  const tell = () => {
    news.resolve();
    news = Promise.withResolvers();
  };

  const send = async (rx: Device) => {
    for (;;) {
      await rx.ready();
      const next = news.promise;
      if (latest !== undefined) {
        if (!await rx.write(latest, { qos: false })) continue; // it is gone again, or not heard yet
        print(`rx: sent ${latest}`);
      }
      await next;
    }
  };
  const hear = async (rx: Device) => {
    for await (const _request of rx) tell();
    tell(); // the server is closed
  };

  return async (device: Device, server: Server) => {
    await server.waitAll(["tx", "rx"]); // both, before anything happens
    if (device.id === "tx") {
      for await (latest of device) tell();
    } else if (device.id === "rx") {
      const stop = server.events.subscribe((event) => {
        if (event.event === "connected" && event.device === "rx") tell();
      });
      try {
        await Promise.all([send(device), hear(device)]);
      } finally {
        stop();
      }
    }
  };
}

export default remote();
