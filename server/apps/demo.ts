/** Code that the demonstrations share. They follow micropython-iot's. */

import { type Device, type DeviceWriteOptions, LocalError } from "../mod.ts";

/** Options of a demonstration. */
export interface DemoOptions {
  /** Pause between messages, or bursts of them, in ms. Default 5000. */
  interval?: number;
  /** Prints what happens. Default: to stdout. */
  print?: (line: string) => void;
}

/** Parses a line that is a JSON array of numbers; undefined for any other, as a device may send anything. */
export function numbers(line: string): number[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  return value.every((element) => typeof element === "number") ? value : undefined;
}

/** Delay before a refused write is tried again, in ms. */
const RETRY = 250;

/** Errors that pass by themselves: the store cannot write, or the device has accepted nothing for a long time. */
const PASSING: readonly string[] = ["STORE_FAILED", "OUTBOX_FULL"];

/** Writes a message, and retries until it is accepted. */
export async function persist(
  device: Device,
  text: string,
  options?: DeviceWriteOptions,
): Promise<boolean> {
  for (;;) {
    try {
      return await device.write(text, options);
    } catch (error) {
      if (!(error instanceof LocalError) || !PASSING.includes(error.code)) throw error;
      await sleep(RETRY);
    }
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
