/**
 * A switch on one board controls the LED on another; the devices' sides are `remote_tx` and `remote_rx` in
 * `client-as/examples/`. Qos is off, so a message is sent once, at once. What an outage loses is made up for
 * afterwards: "tx" sends its level again, and "rx" gets the latest level at the start of each connection and
 * whenever it asks. So it also works with micropython-iot's boards, where "rx" does not ask after an outage.
 */
import type { App, Device, Server } from "../mod.ts";
import { type DemoOptions } from "./demo.ts";

/** The application. */
export function remote({ print = console.log }: Pick<DemoOptions, "print"> = {}): App {
  let latest: string | undefined;
  let news = Promise.withResolvers<void>();
  /** The level has changed, or a device may not have it yet. */
  const tell = () => {
    news.resolve();
    news = Promise.withResolvers();
  };

  const send = async (rx: Device) => {
    for (;;) {
      await rx.ready();
      const next = news.promise;
      if (latest !== undefined) {
        if (!await rx.write(latest, { qos: false })) continue; // the link is gone again, or nothing has come over it yet
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
    await server.waitAll(["tx", "rx"]); // both must have connected first
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
