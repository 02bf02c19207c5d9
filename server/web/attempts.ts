/** How often one may guess a password: bounded for each address, and in all by the work that a guess is. */

import { peerOf } from "../transport/address.ts";

/** Guesses that are free, and how long the next ones take, in ms: each time twice as long. */
const FREE = 5;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/** After this many ms without one, wrong guesses are forgotten. */
const MEMORY = 15 * 60_000;

/** Addresses that are remembered: of more, those that guessed last. */
const MOST_ADDRESSES = 1024;

interface Guesses {
  count: number;
  last: number;
}

export class Attempts {
  readonly #guesses = new Map<string, Guesses>();
  readonly #now: () => number;

  /** @param now ms on a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** For how long an address must wait, in ms; 0: it may guess. A guess counts as wrong until it was right. */
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

  /** It was right. */
  succeeded(address: string): void {
    this.#guesses.delete(peerOf(address));
  }
}
