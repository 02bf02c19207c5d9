/**
 * Keeps the event loop running, whatever an application does with its results.
 *
 * A promise that settles at once continues before anything else: a loop that catches each refusal and retries, or one
 * of messages without qos, would never let a socket, a timer or a signal have a turn. So such results are delayed.
 */
import type { LocalError } from "../protocol/errors.ts";
import type { Clock } from "../transport/platform.ts";

/** Most consecutive results without a delay. */
const AT_ONCE = 64;

/** Longest delay of a refusal, in ms. */
const LONGEST = 100;

/** The pace of one caller, for example an application's run. */
export class Pace {
  readonly #clock: Clock;
  #results = 0;
  #pause = 0; // delay of the next refusal
  #toldAt = -Infinity; // time of the last refusal
  #refusing: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something was accepted. */
  accepted(): void {
    this.#pause = 0;
  }

  /** Delays the results of calls that may be repeated endlessly. */
  async keep<T>(result: Promise<T>): Promise<T> {
    try {
      await result;
    } catch (error) {
      await this.refused();
      throw error;
    }
    await this.done();
    return result;
  }

  /** A call succeeded at once. @returns a promise that the caller must await first, if any */
  done(): Promise<void> | undefined {
    this.accepted();
    if (++this.#results < AT_ONCE) return undefined;
    this.#results = 0;
    return new Promise((resolve) => this.#clock.endOfTurn(resolve));
  }

  /**
   * A call was refused. A caller that retries at once is delayed longer each time; concurrent refusals are delayed
   * together.
   *
   * @returns a promise to await before the refusal
   */
  refused(): Promise<void> {
    return this.#refusing ??= new Promise((resolve) => {
      // A caller that pauses by itself need not be slowed down.
      if (this.#clock.now() - this.#toldAt > this.#pause) this.#pause = 0;
      const tell = () => {
        this.#refusing = undefined;
        this.#toldAt = this.#clock.now();
        resolve();
      };
      if (this.#pause === 0) this.#clock.endOfTurn(tell);
      else this.#clock.after(this.#pause, tell);
      this.#pause = Math.min(LONGEST, 2 * this.#pause || 1);
    });
  }
}

/** Rejects waiting promises. One that nobody awaits must not be reported as unhandled. */
export function dismiss(
  { promise, reject }: { promise: Promise<unknown>; reject(reason: LocalError): void },
  reason: LocalError,
): void {
  promise.catch(() => {});
  reject(reason);
}
