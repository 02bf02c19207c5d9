/** Dialect 1, that of micropython-iot: every message has its own ack, and is sent again until the ack comes. */
import { Dialect } from "./dialect.ts";
import { type DeviceRecord, type Outgoing, WITHDRAWN } from "./record.ts";
import { ack, frame, lineId } from "../protocol/lines.ts";

/** Most messages under way without an ack. A stock client has a queue of 20, and loses messages beyond it. */
const WINDOW = 16;

/** Most ids in use, counted from the oldest message without an ack or from the newest ack, messages
 * without qos included. Ids wrap after 255: an ack must never match two messages, and a chip's record of
 * its last messages must reach back to every one that may be repeated. */
const IDS_OPEN = 32;

const NO_IDS =
  "its messages have no ids: if it runs the client of micropython-iot 0.1, from 2018, install " +
  "a later version";

export class Dialect1 extends Dialect {
  /** Undefined once a line had an id. */
  override advice: string | undefined = NO_IDS;
  #progress = 0; // time of the last ack, or when the first message without one was sent
  #repeated = 0; // how many of the outbox, from its front, were sent more than once
  #idsSinceAck = 0;
  #acked = new Set<Outgoing>(); // done, but not yet out of the outbox: they are behind the oldest

  constructor(
    record: DeviceRecord,
    settled: (message: Outgoing) => void,
    readonly timeout: number,
    readonly booted: () => void = () => {},
  ) {
    super(record, settled);
    // A keepalive at once: the device sends nothing before it has received one.
    this.output = "\n";
  }

  override check(): void {
    this.advice = undefined;
  }

  override accept(line: string, hasRoom: boolean): boolean {
    const id = lineId(line);
    const text = line.slice(2);
    const { record } = this;
    if (hasRoom) {
      if (record.hear(id, text)) {
        if (id === 0) this.booted();
        record.receive(text);
      }
    } else if (!record.duplicates.isRepeat(id, text, record.positions.connects)) return false;
    this.output += ack(id);
    return true;
  }

  override acknowledged(id: number, now: number): void {
    this.advice = undefined;
    this.#idsSinceAck = 0;
    const { outbox } = this.record;
    for (let i = 0; i < this.next; i++) {
      const message = outbox[i]!;
      if (message.id !== id) continue;
      this.#progress = now;
      this.roundTrip.acknowledged(message, now);
      if (this.#acked.has(message)) break;
      this.#acked.add(message);
      if (i === 0) break;
      // It overtook others. The device has it, so it is never sent again.
      this.settled(message);
      this.record.withdraw(message);
      break;
    }
    this.#settleAcked();
  }

  #settleAcked(): void {
    while (this.next > 0 && this.#acked.delete(this.record.outbox[0]!)) {
      this.next--;
      if (this.#repeated > 0) this.#repeated--;
      this.settled(this.record.settle());
    }
  }

  override sendOnce(text: string): boolean {
    if (this.#idsAreShort() || this.record.outbox[0]?.id === 0) return false; // nothing overtakes 00
    this.output += frame(this.#giveId(), text);
    return true;
  }

  #giveId(message?: Outgoing): number {
    this.#idsSinceAck++;
    return this.record.giveId(message);
  }

  #idsAreShort(): boolean {
    if (this.#idsSinceAck >= IDS_OPEN) return true;
    const { outbox: [oldest], positions } = this.record;
    return oldest?.id !== undefined && (positions.nextId - oldest.id + 255) % 255 >= IDS_OPEN;
  }

  /** Nothing overtakes 00: a device that has newer messages must not take its repeat for a boot. */
  #overtakes(message: Outgoing): boolean {
    return message.overtakes && this.record.outbox[0]!.id !== 0;
  }

  /** Assigns ids before sending: a server that was killed must know with which id a message was sent. */
  override prepare(): void {
    const { outbox } = this.record;
    while (this.next === 0 && outbox[0]?.text === WITHDRAWN) this.settled(this.record.settle());
    for (let i = 0; i < outbox.length && i < WINDOW; i++) {
      const message = outbox[i]!;
      if (message.id !== undefined || message.text === WITHDRAWN) continue;
      if (i > 0 && (!this.#overtakes(message) || this.#idsAreShort())) break;
      this.#giveId(message);
    }
  }

  override transmit(now: number): void {
    const { outbox } = this.record;
    if (this.next === 0) this.#progress = now;
    else if (now - this.#progress >= this.timeout) {
      // All messages again, in order: the device drops those that it has.
      this.#repeated = this.next;
      this.roundTrip.repeated();
      this.next = 0;
      this.#progress = now;
    }
    // Only messages in the window have ids; besides the first one, only those that may overtake.
    for (; this.next < outbox.length; this.next++) {
      const message = outbox[this.next]!;
      if (message.text === WITHDRAWN) this.#acked.add(message); // dialect 1 needs no placeholder for its number
      if (this.#acked.has(message)) continue;
      if (message.id === undefined) break;
      this.output += frame(message.id, message.text);
      if (this.next >= this.#repeated) this.roundTrip.sent(message, now);
    }
    this.#settleAcked();
  }

  override deadline(): number {
    return this.next > 0 ? this.#progress + this.timeout : Infinity;
  }
}
