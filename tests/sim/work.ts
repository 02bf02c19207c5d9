/** Estimates how long the remaining work may take. */
import type { Scenario } from "./scenario.ts";

/** A broker is away for a while, and the bridge reconnects after pauses; in ms. */
const BROKER = 150_000;

/** Length of a pause of a fleet's server, or of a device's absence, in leases. */
const AWAY = 12;

/** A time in which all remaining work can be done, in ms. */
export function workOf(
  { gather, storeTime = 0, acquireTime = 0, timeout, devices, mqtt, fleet }: Scenario,
): number {
  let time = mqtt ? BROKER : 0;
  if (fleet) time += AWAY * fleet.lease;
  for (const { talk, serverTalk, conditions } of devices) {
    const { latency, jitter } = conditions;
    // An application's query of the store takes as long as loading a device.
    const each = 4 * (latency + jitter + gather + storeTime + 2) + acquireTime + talk.busy +
      serverTalk.busy;
    const written = serverTalk.messages + serverTalk.answers;
    const messages = 2 * (talk.messages + talk.answers + written);
    time += messages * (each + talk.pause + serverTalk.pause);
    time += written * timeout / 4; // refused, and tried again
    time += serverTalk.failures * 3000; // the application is restarted after a pause
  }
  return time;
}
