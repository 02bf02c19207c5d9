/** Deletes dead letters that are too old. */
import type { DeadLetter } from "../link/record.ts";
import type { ServerEvent } from "../observe/events.ts";
import { HoldfastError } from "../protocol/errors.ts";
import { type Clock, LONGEST_TIMER } from "../transport/platform.ts";

/** Longest time between two checks, in ms. */
const OFTEN = 3_600_000;

/** The part of `Server` that is needed here. */
export interface Burying {
  readonly devices: readonly {
    readonly deadLetters: readonly DeadLetter[];
    discard(number: number): Promise<void>;
  }[];
  readonly events: { emit(event: ServerEvent): void };
}

/**
 * Deletes dead letters that are too old now, and later those that become too old.
 *
 * @param maxAge In ms.
 * @param signal ends it
 */
export async function forgetOldLetters(
  server: Burying,
  maxAge: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const begun = await forget(server, clock.date() - maxAge);
  if (begun > 0) {
    const message = `${begun} dead letters were too old and were deleted`;
    server.events.emit({ event: "warning", code: "DEAD_LETTERS_OLD", message });
  }
  if (signal.aborted) return;
  const cancel = clock.after(Math.min(maxAge, OFTEN, LONGEST_TIMER), () => {
    signal.removeEventListener("abort", cancel);
    forgetOldLetters(server, maxAge, clock, signal);
  });
  signal.addEventListener("abort", cancel);
}

/** @returns how many were deleted */
async function forget({ devices }: Burying, before: number): Promise<number> {
  let count = 0;
  for (const device of devices) {
    for (const { number } of device.deadLetters.filter(({ date }) => date < before)) {
      try {
        await device.discard(number);
        count++;
      } catch (error) {
        // The letter was revived, the device forgotten, or the server closed meanwhile.
        if (!(error instanceof HoldfastError)) throw error;
      }
    }
  }
  return count;
}
