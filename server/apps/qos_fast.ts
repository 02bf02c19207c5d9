/**
 * Like `qos`, but in bursts: four messages at once, none of which waits for the one before; the
 * device's side is `client-as/examples/qos_fast.ts`. What an outage interrupts may arrive in another
 * order in dialect 1, but still once.
 */
import type { App } from "../mod.ts";
import { qos, type QosOptions } from "./qos.ts";

/** The application. */
export function qosFast(options: Omit<QosOptions, "burst"> = {}): App {
  return qos({ ...options, burst: 4 });
}

export default qosFast();
