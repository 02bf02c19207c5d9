/**
 * The message that the application of a host with a memory is busy with. If its process ends before it is done with it,
 * the next process must get it again.
 */
import type { Dropped } from "./dropped.ts";
import type { Expiring } from "./expiring.ts";
import type { Message } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** The device whose application it is. */
interface Reader {
  readonly id: string;
  readonly dropped: Dropped;
  readonly expiring: Expiring;
}

export class InHand {
  #message: Message | undefined;
  /** Messages that ended processes were busy with, and that have not come again. */
  readonly #owed = new Set<Message>();

  constructor(readonly of: Reader) {}

  /** The application gets a message; undefined: it asks for the next one, and so is done with the last one. */
  set message(message: Message | undefined) {
    this.#message = message;
  }

  /** Whether it is busy with one. */
  get isBusy(): boolean {
    return this.#message !== undefined;
  }

  /** An application of the device sees a message. Those that are owed come before newer ones. */
  seen(message: Message): void {
    this.#owed.delete(message);
    const { missing } = this;
    if (!missing || message.loose || message.index < missing.index) return;
    const [newer, older] = [message, missing].map(({ text }) => JSON.stringify(text.slice(0, 60)));
    throw new Violation(`${this.of.id}: ${newer} came, and nobody was done with ${older}`);
  }

  /** A message that must come again. */
  get missing(): Message | undefined {
    return [...this.#owed].find((message) => this.#mustCome(message));
  }

  /** The process has ended. @param knows Whether the memory is kept */
  died(knows: boolean): void {
    const message = this.#message;
    this.#message = undefined;
    if (!knows) this.#owed.clear();
    // Nobody sends a message without qos again, but a memory may hold it.
    else if (message && (message.qos || message.held)) this.#owed.add(message);
  }

  /** The server's store was replaced, and may lack the message. */
  storeReplaced(): void {
    this.#message = undefined;
    this.#owed.clear();
  }

  #mustCome(message: Message): boolean {
    const { dropped, expiring } = this.of;
    if (message.excused || message.gone || dropped.mayHave(message)) return false;
    return message.held || expiring.isOfUse(message); // otherwise the server may have withdrawn it
  }
}
