/** What the demonstrations share. Their idea is micropython-iot's. */

import { type Device, type DeviceWriteOptions, LocalError } from "../mod.ts";

/** How a demonstration runs. */
export interface DemoOptions {
  /** Pause between messages, or bursts of them, in ms. Default 5000. */
  interval?: number;
  /** Where it tells what happens. Default: stdout. */
  print?: (line: string) => void;
}

/** A line that is a JSON array of numbers; undefined for any other, as a device may send what it likes. */
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

/** Pause before what was refused is tried again, in ms. */
const RETRY = 250;

/** What passes by itself: the store cannot write, or the device has taken nothing for long. */
const PASSING: readonly string[] = ["STORE_FAILED", "OUTBOX_FULL"];

/** Writes a message, and tries again as long as it cannot be accepted. */
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
