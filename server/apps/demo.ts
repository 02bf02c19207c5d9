/** What the demonstrations share. Their idea is micropython-iot's. */

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

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
