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

  /** What comes of something that may be done again and again is told at this pace. */
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

  /** Something was done at once. @returns what is to be awaited first, if anything */
  done(): Promise<void> | undefined {
    this.accepted();
    if (++this.#results < AT_ONCE) return undefined;
    this.#results = 0;
    return new Promise((resolve) => this.#clock.endOfTurn(resolve));
  }

  /**
   * Something was refused. Whoever tries again at once is told later each time; several at one time are told together.
   *
   * @returns what is to be awaited before that is told
   */
  refused(): Promise<void> {
    return this.#refusing ??= new Promise((resolve) => {
      // Whoever waits by himself need not be made to.
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

/** Tells whoever waits why there is nothing to wait for. Who does not await it need not know. */
export function dismiss(
  { promise, reject }: { promise: Promise<unknown>; reject(reason: LocalError): void },
  reason: LocalError,
): void {
  promise.catch(() => {});
  reject(reason);
}
