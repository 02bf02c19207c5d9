/** Memory that survives a reset of a simulated board. */
import type { Position } from "./core.ts";
import type { Asleep } from "./sleep.ts";

/** Bytes of `Kept` that are the application's. */
export const KEPT_BYTES = 384;

/** Memory that survives a reset of a board: to be given to one board after the other. */
export class Kept {
  /** Where the link has got to in the server's stream. */
  position: Position | undefined;
  /** What the application keeps. */
  readonly bytes: Uint8Array = new Uint8Array(KEPT_BYTES);
  /** How many bytes of it the application has used, from the lowest: the others are for what waits in a sleep. */
  used = 0;
  /** What a board that wakes now goes on with. */
  asleep: Asleep | undefined;
}

/** The part of the kept memory that an application names; undefined if there is no such part. */
export function keptPart(kept: Kept, at: number, ptr: number, length: number) {
  const { bytes } = kept;
  if (at < 0 || length < 0 || at + length > bytes.length || (at | ptr | length) % 4) {
    return undefined;
  }
  kept.used = Math.max(kept.used, at + length);
  return bytes.subarray(at, at + length);
}
