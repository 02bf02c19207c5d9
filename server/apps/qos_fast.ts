/**
 * Like `qos`, but in bursts: four messages at once, without waiting for each other; the device's
 * side is `client-as/examples/qos_fast.ts`. In dialect 1 an outage may change the order of a burst,
 * but each message still arrives once.
 */
import type { App } from "../mod.ts";
import { qos, type QosOptions } from "./qos.ts";

/** The application. */
export function qosFast(options: Omit<QosOptions, "burst"> = {}): App {
  return qos({ ...options, burst: 4 });
}

export default qosFast();
