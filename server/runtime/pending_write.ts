import type { Writer } from "../link/outbox.ts";
import { errorOf } from "../link/outcome.ts";
import type { Outgoing } from "../link/record.ts";
import type { LocalError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Asker } from "./post_office.ts";
import type { Turn } from "./turn.ts";

/** A message with qos on its way to the device, and who waits for it. */
export class PendingWrite implements Writer {
  readonly #promise = Promise.withResolvers<boolean>();
  readonly #ended: (write: PendingWrite) => void;
  readonly #turn: Turn;
  /** It was refused: it has never begun. */
  isRefused = false;
  /** Forgets it where other servers would say what has become of it; undefined: there can be none. */
  over: (() => void) | undefined;
  #message: Outgoing | undefined; // as soon as it is in the outbox
  #isElsewhere = false; // another server has the device: what that says counts

  /** @param ended Told when nobody waits for it any more. */
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

  /** Takes what another server says that has the device by then. */
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

  /** The device is here no longer. If another server has it, with the message, that says what becomes of it. */
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

  /** Nobody waits for it any more. */
  end(error: unknown): void {
    this.#ended(this);
    this.#promise.reject(error);
  }

  settle(value: boolean): void {
    this.#ended(this);
    this.#promise.resolve(value);
  }
}
