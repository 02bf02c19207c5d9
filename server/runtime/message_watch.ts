/** Who wants to see a device's messages, as they become safe. */
import { type DeviceRecord, isOfApplication } from "../link/record.ts";

/**
 * Is told of a message. @param way "in": from the device; "out": to it; "done": the oldest of those from the device that
 * it was told of is processed, or given up, and `text` is ""
 */
export type MessageListener = (way: "in" | "out" | "done", text: string) => void;

/** Tells of the messages that have come since it began, each once. */
export class MessageWatch {
  readonly #record: DeviceRecord;
  readonly #listener: MessageListener;
  /** Numbers of the next messages that were not told, counted from the device's first. */
  #in: number;
  #out: number;
  /** Up to here processed messages were told. */
  #done: number;

  constructor(record: DeviceRecord, listener: MessageListener) {
    this.#record = record;
    this.#listener = listener;
    this.#in = record.positions.processed + record.safe; // what is not safe yet is told when it is
    this.#out = record.state.sent;
    this.#done = this.#in;
  }

  /** All changes so far are safe. */
  look(): void {
    const { inbox, outbox, safe, positions: { processed }, state: { sent } } = this.#record;
    const first = sent - outbox.length;
    for (; this.#done < processed; this.#done++) this.#listener("done", "");
    for (let at = Math.max(0, this.#in - processed); at < safe; at++) {
      this.#listener("in", inbox[at]!);
    }
    for (let at = Math.max(0, this.#out - first); at < outbox.length; at++) {
      const message = outbox[at]!;
      if (isOfApplication(message)) this.#listener("out", message.text);
    }
    this.#in = Math.max(this.#in, processed + safe);
    this.#out = Math.max(this.#out, sent);
  }
}
