/**
 * Lets the event loop have its turns, whatever an application does with what it is told.
 *
 * A promise that is settled at once goes on before anything else: a loop that catches each refusal and tries again, or
 * one of messages without qos, would never let a socket, a timer or a signal have a turn. So such results are told
 * later.
 */
import type { LocalError } from "../protocol/errors.ts";
import type { Clock } from "../transport/platform.ts";

/** Results that may be told at once, one after the other. */
const AT_ONCE = 64;

/** Longest time before a refusal is told, in ms. */
const LONGEST = 100;

/** Of one caller, an application's run for example. */
export class Pace {
  readonly #clock: Clock;
  #results = 0;
  #pause = 0; // before the next refusal is told
  #toldAt = -Infinity; // the last refusal
  #refusing: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something was accepted. */
  accepted(): void {
    this.#pause = 0;
  }

  /** Results of calls that may be repeated endlessly are told at this pace. */
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

  /** A call succeeded at once. @returns what the caller must await first, if anything */
  done(): Promise<void> | undefined {
    this.accepted();
    if (++this.#results < AT_ONCE) return undefined;
    this.#results = 0;
    return new Promise((resolve) => this.#clock.endOfTurn(resolve));
  }

  /**
   * A call was refused. A caller that tries again at once is told later each time; several at one time are told together.
   *
   * @returns what must be awaited before the refusal is told
   */
  refused(): Promise<void> {
    return this.#refusing ??= new Promise((resolve) => {
      // A caller that waits by itself need not be slowed down.
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

/** Tells those who wait why there is nothing to wait for. A promise that is not awaited must not be reported. */
export function dismiss(
  { promise, reject }: { promise: Promise<unknown>; reject(reason: LocalError): void },
  reason: LocalError,
): void {
  promise.catch(() => {});
  reject(reason);
}
