/** Watches a device's messages as they become safe. */
import { type DeviceRecord, isOfApplication } from "../link/record.ts";

/**
 * Receives a message. @param way "in": from the device; "out": to it; "done": the oldest reported message from the
 * device was processed or became a dead letter, and `text` is ""
 */
export type MessageListener = (way: "in" | "out" | "done", text: string) => void;

/** Reports the messages since it began, each once. */
export class MessageWatch {
  readonly #record: DeviceRecord;
  readonly #listener: MessageListener;
  /** Numbers of the next messages to report, counted from the device's first. */
  #in: number;
  #out: number;
  /** Number up to which processed messages were reported. */
  #done: number;

  constructor(record: DeviceRecord, listener: MessageListener) {
    this.#record = record;
    this.#listener = listener;
    this.#in = record.positions.processed + record.safe; // messages that are not safe yet are reported when they are
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
