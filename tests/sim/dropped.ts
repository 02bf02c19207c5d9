/** Messages that an operator has dropped: which may be missing, and which must not arrive any more. */
import { isMissing, type Message, type Stream } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

export class Dropped {
  /** `clear`s under way. */
  readonly orders = new Set<object>();
  #lately: Message[] = []; // to the device: they may still be on their way
  readonly #left = new WeakSet<Message>(); // to the device: they left the store while an operator dropped messages
  #doubtful = new Set<Message>(); // from the device: some of these were dropped before they were in the store
  #vanished = 0;

  /** A message from the device has left the store unseen. @returns whether that is allowed */
  leaves(message: Message): boolean {
    if (this.orders.size === 0) return false;
    message.excused = message.dropped = true;
    return true;
  }

  /** A message to the device has left the store. @returns whether it may have been dropped */
  withdraws(message: Message): boolean {
    if (this.orders.size === 0) return false;
    this.forgets(message);
    return true;
  }

  /** The store no longer has a message to the device. */
  forgets(message: Message): void {
    message.excused ||= message.seen === 0;
    this.#lately.push(message);
    this.#left.add(message);
  }

  /** Whether a message to the device may have been dropped: its writer is told so, even if the device has it. */
  mayHave(message: Message): boolean {
    return this.#left.has(message);
  }

  /** It is written once more. @param loose In any order */
  again(message: Message, loose: boolean): void {
    Object.assign(message, { loose, dropped: false, settled: false });
    // If the previous one has expired, nobody has seen it, and this one counts as the first.
    if (message.gone) Object.assign(message, { gone: false, excused: false });
    else Object.assign(message, { repeats: message.repeats + 1, extra: message.extra + 1 });
    this.#lately = this.#lately.filter((one) => one !== message);
  }

  /** The device has a newer connection: nothing more arrives on the older one. Its memory may hold a message. */
  admitted(): void {
    for (const message of this.#lately.splice(0)) message.dropped ||= !message.held;
  }

  /** This many messages of the device were received and dropped without ever being in the store. */
  vanished(count: number, { name, messages }: Stream): void {
    if (this.orders.size === 0) throw new Violation(`${name}: ${count} messages vanish`);
    this.#vanished += count;
    for (const message of messages) {
      if (message.seen > 0 || message.safe || message.gone) continue;
      message.doubtful = true;
      this.#doubtful.add(message);
    }
  }

  /** A message that is missing and was not dropped. @param epoch The device's current boot */
  missing(epoch: number): Message | undefined {
    const missing = [...this.#doubtful].filter((message) =>
      isMissing({ ...message, doubtful: false }, epoch)
    );
    return missing.find(({ safe }) => safe) ?? missing[this.#vanished];
  }

  serverDied(): void {
    this.orders.clear();
  }

  /** The store was replaced: messages that were dropped in the old one may come after all. */
  storeReplaced(): void {
    this.#lately = [];
    for (const message of this.#doubtful) message.excused = true;
    this.#doubtful.clear();
    this.#vanished = 0;
  }
}
