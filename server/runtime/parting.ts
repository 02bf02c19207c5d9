/** Sends devices away one after the other, so that they do not come to another server all at once. */
import type { Clock } from "../transport/platform.ts";

/** A device that can be sent away. */
interface Guest {
  readonly connected: boolean;
  sendAway(): void;
}

export class Parting {
  /** Resolves when the last one was sent away, or this was cancelled. */
  readonly done: Promise<void>;
  readonly #resolve: () => void;
  readonly #clock: Clock;
  readonly #guests: Guest[];
  readonly #pause: number;
  #cancel: (() => void) | undefined;

  /** @param over Duration in ms. */
  constructor(guests: Iterable<Guest>, over: number, clock: Clock) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#clock = clock;
    this.#guests = [...guests].filter(({ connected }) => connected);
    this.#pause = over / Math.max(1, this.#guests.length);
    this.#next(clock.now());
  }

  /** @param due When the next one is due; those that became due while the loop was busy go now. */
  #next(due: number): void {
    const now = this.#clock.now();
    for (; due <= now && this.#guests.length > 0; due += this.#pause) {
      this.#guests.shift()!.sendAway();
    }
    if (this.#guests.length === 0) return this.#resolve();
    this.#cancel = this.#clock.after(Math.max(1, due - now), () => this.#next(due));
  }

  /**
   * A device that was greeting at the start was admitted: it is the last one, or goes at once if all others have gone.
   */
  add(guest: Guest): void {
    if (this.#guests.length > 0) this.#guests.push(guest);
    else guest.sendAway();
  }

  /** Cancels: the others are not sent away. */
  giveUp(): void {
    this.#cancel?.();
    this.#resolve();
  }
}
