/**
 * Checks that every message arrives once and in order, both ways; the device's side is
 * `client-as/examples/qos.ts`. Each end numbers its messages and checks the other's numbers. The device
 * sends [number, connects, free memory, duplicates, missing, out of order, uptime in s], and receives
 * [number, connects].
 */
import type { App, Device } from "../mod.ts";
import { type DemoOptions, numbers, persist, sleep } from "./demo.ts";
import { Sequence } from "./sequence.ts";

/** Both ends' counts are printed once in this many intervals. */
const REPORT = 6;

export interface QosOptions extends DemoOptions {
  /** How many messages are written at once, without waiting for each other. Default 1. */
  burst?: number;
  /** Checks a device's numbers. Default: a new `Sequence` for each device. */
  sequence?: (device: Device) => Sequence;
}

/** The application. */
export function qos(options: QosOptions = {}): App {
  const { interval = 5000, print = console.log, burst = 1, sequence = () => new Sequence() } =
    options;
  return async (device: Device) => {
    const here = sequence(device);
    let there = "nothing yet";

    const receive = async () => {
      for await (const line of device) {
        const [number, connects, memory, duplicates, missing] = numbers(line) ?? [];
        if (number === undefined) continue;
        here.check(number);
        there = `missing ${missing}, duplicates ${duplicates}, connects ${connects}, ` +
          `free memory ${memory}`;
      }
    };
    const send = async () => {
      let number = 0;
      for (let round = 1;; round++) {
        const arrivals = Array.from({ length: burst }, () => {
          const line = JSON.stringify([number++, device.connects]);
          return persist(device, line, { wait: burst === 1 });
        });
        await Promise.all(arrivals);
        if (round % REPORT === 0) print(`${device.id}: here: ${here}; there: ${there}`);
        await sleep(interval);
      }
    };
    await Promise.all([receive(), send()]);
  };
}

export default qos();
