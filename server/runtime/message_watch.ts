/** Who wants to see a device's messages, as they become safe. */
import { type DeviceRecord, WITHDRAWN } from "../link/record.ts";

/** Is told of a message. @param way "in": from the device; "out": to it */
export type MessageListener = (way: "in" | "out", text: string) => void;

/** Tells of the messages that have come since it began, each once. */
export class MessageWatch {
  readonly #record: DeviceRecord;
  readonly #listener: MessageListener;
  /** Numbers of the next messages that were not told, counted from the device's first. */
  #in: number;
  #out: number;

  constructor(record: DeviceRecord, listener: MessageListener) {
    this.#record = record;
    this.#listener = listener;
    this.#in = record.positions.processed + record.inbox.length;
    this.#out = record.state.sent;
  }

  /** All changes so far are safe. */
  look(): void {
    const { inbox, outbox, safe, positions: { processed }, state: { sent } } = this.#record;
    const first = sent - outbox.length;
    for (let at = Math.max(0, this.#in - processed); at < safe; at++) {
      this.#listener("in", inbox[at]!);
    }
    for (let at = Math.max(0, this.#out - first); at < outbox.length; at++) {
      if (outbox[at]!.text !== WITHDRAWN) this.#listener("out", outbox[at]!.text);
    }
    this.#in = Math.max(this.#in, processed + safe);
    this.#out = Math.max(this.#out, sent);
  }
}
