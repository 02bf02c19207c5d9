/**
 * Counters in both directions; the device's side is `client-as/examples/main.ts`. Every device sends
 * [connects, count, free memory], and receives [our count, its count, its free memory].
 */
import type { App, Device } from "../mod.ts";
import { type DemoOptions, numbers, persist, sleep } from "./demo.ts";

/** The application. */
export function main({ interval = 5000, print = console.log }: DemoOptions = {}): App {
  return async (device: Device) => {
    let [count, memory] = [0, 0]; // the device's

    const receive = async () => {
      for await (const line of device) {
        print(`${device.id}: got ${line}`);
        [, count = 0, memory = 0] = numbers(line) ?? [];
      }
    };
    const send = async () => {
      for (let sent = 0;; sent++) {
        const line = JSON.stringify([sent, count, memory]);
        await persist(device, line); // waits until it has arrived, through outages
        print(`${device.id}: sent ${line}`);
        await sleep(interval);
      }
    };
    await Promise.all([receive(), send()]);
  };
}

export default main();
