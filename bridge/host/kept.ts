/** Memory that survives a reset of a simulated board. */
import type { Position } from "./core.ts";
import type { Asleep } from "./sleep.ts";

/** Bytes of `Kept` that are the application's. */
export const KEPT_BYTES = 384;

/** Memory that survives a reset of a board: pass it from one board to the next. */
export class Kept {
  /** The link's position in the server's stream. */
  position: Position | undefined;
  /** The application's bytes. */
  readonly bytes: Uint8Array = new Uint8Array(KEPT_BYTES);
  /** How many of these bytes the application uses, from the lowest; messages that wait in a sleep use the others. */
  used = 0;
  /** The state with which a board wakes from sleep. */
  asleep: Asleep | undefined;
}

/** A range of the kept memory; undefined if it is out of bounds. */
export function keptPart(kept: Kept, at: number, ptr: number, length: number) {
  const { bytes } = kept;
  if (at < 0 || length < 0 || at + length > bytes.length || (at | ptr | length) % 4) {
    return undefined;
  }
  kept.used = Math.max(kept.used, at + length);
  return bytes.subarray(at, at + length);
}
