/** What an operator has had the server drop: what may be missing for that, and what must not come any more. */
import { type Message, type Stream, Violation } from "./promises.ts";

/** Messages of which so many may have been dropped before they were in the store. */
interface Doubt {
  most: number;
  messages: Message[];
}

export class Dropped {
  /** `clear`s under way. */
  readonly orders = new Set<object>();
  #lately: Message[] = []; // to the device: they may be on their way still
  #doubts: Doubt[] = [];

  /** A message from the device has left the store, and nobody has seen it. @returns whether it may have */
  leaves(message: Message): boolean {
    if (this.orders.size === 0) return false;
    message.excused = message.dropped = true;
    return true;
  }

  /** A message to the device has left the store: as it has arrived, or, if some are dropped just now, perhaps not. */
  withdraws(message: Message): void {
    if (this.orders.size > 0) this.forgets(message);
  }

  /** The store has a message to the device no longer. */
  forgets(message: Message): void {
    message.excused ||= message.seen === 0;
    this.#lately.push(message);
  }

  /** The device has a newer connection: on the one before, nothing comes any more. */
  admitted(): void {
    for (const message of this.#lately.splice(0)) message.dropped = true;
  }

  /** So many messages of the device have been received and dropped, and the store has never had them. */
  vanished(count: number, { name, messages }: Stream): void {
    if (this.orders.size === 0) throw new Violation(`${name}: ${count} messages vanish`);
    const all = messages.filter(({ seen, safe, gone }) => seen === 0 && !safe && !gone);
    for (const message of all) message.doubtful = true;
    this.#doubts.push({ most: count, messages: all });
  }

  /** One that is missing and was not dropped. @param epoch Of the device's life of now */
  missing(epoch: number): Message | undefined {
    for (const { most, messages } of this.#doubts) {
      const missing = messages.filter((message) =>
        message.seen === 0 && message.qos && !message.excused && !message.gone &&
        (message.epoch >= epoch || message.kept)
      );
      const received = missing.find(({ safe }) => safe);
      if (received || missing.length > most) return received ?? missing.at(-1);
    }
    return undefined;
  }

  serverDied(): void {
    this.orders.clear();
  }

  /** The store is another one: what was dropped in the one before may come all the same. */
  storeReplaced(): void {
    this.#lately = [];
    for (const { messages } of this.#doubts) for (const message of messages) message.excused = true;
    this.#doubts = [];
  }
}
