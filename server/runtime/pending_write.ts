import type { Writer } from "../link/outbox.ts";
import type { Turn } from "./turn.ts";

/** A message with qos on its way to the device, and who waits for it. */
export class PendingWrite implements Writer {
  readonly #promise = Promise.withResolvers<boolean>();
  readonly #over: (write: PendingWrite) => void;
  readonly #turn: Turn;
  /** It was refused: it has never begun. */
  isRefused = false;

  /** @param over Told when nobody waits for it any more. */
  constructor(turn: Turn, over: (write: PendingWrite) => void) {
    this.#turn = turn;
    this.#over = over;
  }

  get promise(): Promise<boolean> {
    return this.#promise.promise;
  }

  arrived(): void {
    this.settle(true);
  }

  failed(error: unknown): void {
    this.#turn.whenSafe(() => this.end(error));
  }

  refuse(error: unknown): void {
    this.isRefused = true;
    this.end(error);
  }

  /** Nobody waits for it any more. */
  end(error: unknown): void {
    this.#over(this);
    this.#promise.reject(error);
  }

  settle(value: boolean): void {
    this.#over(this);
    this.#promise.resolve(value);
  }
}
