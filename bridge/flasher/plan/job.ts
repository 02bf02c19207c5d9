/** Carries out a plan on a chip. */
import type { Chip } from "../chip/chip.ts";
import { FlashError, hex } from "../chip/errors.ts";
import { md5 } from "../chip/md5.ts";
import type { Plan } from "./plan.ts";

/** The state of a piece of the plan. */
export type PieceState = "waiting" | "writing" | "checking" | "verified";

/** Called as the work proceeds. */
export interface Observer {
  erasing?(): void;
  /** @param done bytes of the piece */
  piece(index: number, state: PieceState, done: number): void;
}

/**
 * Erases, if the plan says so, writes every piece, and at the end asks the chip for the MD5 of each as a whole: a flash
 * that is smaller than it claims wraps around and overwrites its beginning.
 *
 * @throws {FlashError} of the chip, or VERIFY_FAILED with the address
 */
export async function carryOut(
  chip: Chip,
  { pieces }: Plan,
  observer: Observer,
  eraseAll = false,
): Promise<void> {
  if (eraseAll) {
    observer.erasing?.();
    await chip.erase();
  }
  for (const [index, { offset, data }] of pieces.entries()) {
    observer.piece(index, "writing", 0);
    await chip.write(offset, data, (done) => observer.piece(index, "writing", done));
    observer.piece(index, "checking", data.length);
  }
  for (const [index, { name, offset, data }] of pieces.entries()) {
    if (await chip.md5(offset, data.length) !== md5(data)) {
      throw new FlashError(
        "VERIFY_FAILED",
        `${name} at ${hex(offset)} is not what was written any more`,
        offset,
      );
    }
    observer.piece(index, "verified", data.length);
  }
}

/** Estimates how long a transfer will still take. */
export class TimeLeft {
  #start: number | undefined;
  #before = 0;

  constructor(readonly total: number) {}

  /**
   * Milliseconds left; undefined as long as there is no estimate.
   *
   * @param done of `total`
   * @param now in ms, of any clock that does not jump
   */
  at(done: number, now: number): number | undefined {
    if (this.#start === undefined) {
      this.#start = now;
      this.#before = done;
    }
    const elapsed = now - this.#start;
    const moved = done - this.#before;
    // The first moments say nothing: the first packets go into buffers.
    if (elapsed < 1500 || moved <= 0) return undefined;
    return elapsed / moved * (this.total - done);
  }
}

/** `about 20 s left`, in steps that do not flicker. */
export function sayLeft(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 5) return "a few seconds left";
  if (seconds < 60) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  return `about ${Math.ceil(seconds / 60)} min left`;
}
