import type { Writer } from "../link/outbox.ts";
import { errorOf } from "../link/outcome.ts";
import type { Outgoing } from "../link/record.ts";
import type { LocalError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Asker } from "./orders.ts";
import type { Turn } from "./turn.ts";

/** A message with qos on its way to the device, and its caller. */
export class PendingWrite implements Writer {
  readonly #promise = Promise.withResolvers<boolean>();
  readonly #ended: (write: PendingWrite) => void;
  readonly #turn: Turn;
  /** Whether it was refused at once. */
  isRefused = false;
  /** Cancels waiting for other servers' reports; undefined: there are no others. */
  over: (() => void) | undefined;
  #message: Outgoing | undefined; // set when it is in the outbox
  #isElsewhere = false; // whether another server has the device, whose report counts

  /** @param ended Called when nobody waits for it any more. */
  constructor(turn: Turn, ended: (write: PendingWrite) => void) {
    this.#turn = turn;
    this.#ended = ended;
  }

  get promise(): Promise<boolean> {
    return this.#promise.promise;
  }

  accepted(message: Outgoing): void {
    this.#message = message;
  }

  /** Receives the report of another server that has the device by then. */
  get asker(): Asker {
    return {
      told: (outcome) => {
        const error = errorOf(outcome);
        if (error) this.end(error);
        else this.settle(true);
      },
      failed: (error) => this.end(error),
    };
  }

  /** The device has left memory. If another server has it, with the message, that server reports the outcome. */
  close(reason: LocalError, ledger: Ledger): void {
    const isThere = this.#message !== undefined && ledger.hasStored(this.#message);
    this.#isElsewhere = reason.code === "FENCED" && this.over !== undefined && isThere;
    if (!this.#isElsewhere) this.end(reason);
  }

  arrived(): void {
    this.settle(true);
  }

  failed(error: LocalError): void {
    this.#turn.whenSafe(() => this.#isElsewhere || this.end(error));
  }

  refuse(error: unknown): void {
    this.isRefused = true;
    this.end(error);
  }

  /** Stops waiting. */
  end(error: unknown): void {
    this.#ended(this);
    this.over?.();
    this.#promise.reject(error);
  }

  settle(value: boolean): void {
    this.#ended(this);
    this.over?.();
    this.#promise.resolve(value);
  }
}
