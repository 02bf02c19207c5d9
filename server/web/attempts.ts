/** Limits how often each address may guess the password; the work of each guess limits all guesses together. */

import { peerOf } from "../transport/address.ts";

/** Number of guesses without delay, and the delay of the next ones in ms, which doubles each time. */
const FREE = 5;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/** After this many ms without a guess, wrong guesses are forgotten. */
const MEMORY = 15 * 60_000;

/** Most addresses that are remembered: those that guessed last. */
const MOST_ADDRESSES = 1024;

interface Guesses {
  count: number;
  last: number;
}

export class Attempts {
  readonly #guesses = new Map<string, Guesses>();
  readonly #now: () => number;

  /** @param now In ms, on a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Begins a guess. Returns how long the address must wait, in ms; 0: it may guess. A guess counts as wrong until
   * `succeeded`.
   */
  begin(address: string): number {
    const key = peerOf(address);
    const now = this.#now();
    let { count, last } = this.#guesses.get(key) ?? { count: 0, last: now };
    if (now - last > MEMORY) count = 0;
    const pause = count < FREE
      ? 0
      : Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(count - FREE, 16));
    if (pause > 0 && last + pause > now) return last + pause - now;
    this.#guesses.delete(key);
    this.#guesses.set(key, { count: count + 1, last: now });
    if (this.#guesses.size > MOST_ADDRESSES) {
      this.#guesses.delete(this.#guesses.keys().next().value!);
    }
    return 0;
  }

  /** The guess was right. */
  succeeded(address: string): void {
    this.#guesses.delete(peerOf(address));
  }
}
