/** A session's messages to its device: who waits for them, how much room they take, and their deadlines. */
import { LocalError } from "../protocol/errors.ts";
import type { MessageCounts } from "./counts.ts";
import { checkExpiry, explainFate } from "../protocol/expiry.ts";
import { isForFirmware } from "../protocol/firmware_lines.ts";
import { byteLength, FIRMWARE } from "../protocol/lines.ts";
import { Deadlines } from "./deadlines.ts";
import type { Dialect } from "./dialect.ts";
import type { Limits } from "./limits.ts";
import { DONE, failure, type Outcome } from "./outcome.ts";
import { type PoolShare, QueueText } from "./pool.ts";
import {
  type DeviceRecord,
  isOfApplication,
  type Manner,
  type Outgoing,
  WITHDRAWN,
} from "./record.ts";
import type { SessionReports } from "./session_reports.ts";

/** How to send a message. */
export interface WriteOptions {
  /**
   * If true, sent again until it is acknowledged; if false, sent at once if there is a link, or never. Default true.
   */
  qos?: boolean;
  /**
   * In dialect 1, whether to wait until all earlier messages are acknowledged. Dialect 2 needs no waiting. Default
   * true.
   */
  wait?: boolean;
  /**
   * Deadline in ms from now: 1 to 31,536,000,000, a year. If it is not delivered by then, it never is, and its writer
   * gets EXPIRED. If it was sent but its ack did not come, the next connection decides; if that cannot (in dialect 1,
   * or because the device has lost its memory), its writer gets UNDECIDED. Only with qos. Default: none.
   */
  expires?: number;
}

/** The writer of a message, which is told the outcome. */
export interface Writer {
  /** The message has been accepted. */
  accepted?(message: Outgoing): void;
  arrived(): void;
  /** The message is not sent any more. That is not safe yet. */
  failed(error: LocalError): void;
}

/** A message that was withdrawn at its deadline. */
export interface Expired {
  readonly text: string;
  /** EXPIRED or UNDECIDED. */
  readonly error: LocalError;
}

const NONE: readonly Expired[] = [];

/** The device that the messages are for. */
export interface OutboxOwner {
  readonly record: DeviceRecord;
  readonly limits: Limits;
  readonly share: PoolShare;
  readonly counts: MessageCounts;
  /** The state of the device's link, for people. */
  whereabouts(now: number): string;
}

export class Outbox {
  readonly #owner: OutboxOwner;
  readonly #text: QueueText; // text of messages that were not withdrawn
  readonly #deadlines: Deadlines;
  #writers: Map<Outgoing, Writer> | undefined; // by message, the writers that wait
  #expired: Expired[] | undefined; // not taken yet by `takeExpired`

  constructor(owner: OutboxOwner) {
    const { record, share } = owner;
    this.#owner = owner;
    this.#text = new QueueText(share);
    this.#deadlines = new Deadlines(record);
    for (const { text } of record.outbox) if (text !== WITHDRAWN) this.#text.add(text);
  }

  /** @throws {LocalError} OUTBOX_FULL */
  accept(line: string, manner: Manner, now: number): Outgoing {
    const full = this.whyFull(now);
    if (full !== undefined) throw new LocalError("OUTBOX_FULL", full);
    this.#text.add(line);
    this.#owner.counts.written++;
    const message = this.#owner.record.write(line, manner, now);
    this.#deadlines.add(message);
    return message;
  }

  /** Adds a message to the device's firmware. These are few, so they always have room and are not counted. */
  add(text: string, now: number): Outgoing {
    this.#text.add(text);
    return this.#owner.record.write(text, { overtakes: false, qos: true }, now);
  }

  /** Undoes the last `accept`. */
  unaccept(): void {
    const { record, counts } = this.#owner;
    this.#leaves(record.outbox.at(-1)!);
    counts.written--;
    record.unwrite();
  }

  /** A message without qos has been added to the record. */
  added(line: string): void {
    this.#text.add(line);
  }

  /** Registers the writer that waits for a message. */
  await(message: Outgoing, writer: Writer): void {
    (this.#writers ??= new Map()).set(message, writer);
    writer.accepted?.(message);
  }

  /** A message has left the outbox: the device has it, or it was withdrawn. */
  settled(message: Outgoing): void {
    this.#leaves(message);
    if (message.qos && isOfApplication(message)) this.#owner.counts.delivered++;
    const writer = this.#takeWriter(message);
    writer?.arrived();
    if (!writer && message.text !== WITHDRAWN) this.#reply(message, DONE);
  }

  /** Replies to the process that wrote the message, if it was another one. */
  #reply({ from }: Outgoing, outcome: Outcome): void {
    if (from !== undefined) this.#owner.record.reply(from, outcome);
  }

  /** Withdraws a message, and tells its writer why. */
  #fails(message: Outgoing, why: LocalError): void {
    const writer = this.withdraw(message);
    writer?.failed(why);
    if (!writer) this.#reply(message, failure(why));
  }

  /** Withdraws a message. @returns the writer that waits for it */
  withdraw(message: Outgoing): Writer | undefined {
    this.#leaves(message);
    this.#owner.record.withdraw(message);
    return this.#takeWriter(message);
  }

  /**
   * A device has come back: withdraws what it cannot take any more.
   *
   * @param lineBytes Longest text that it accepts.
   * @param reports Receives messages that the present rules would not have allowed.
   */
  fit(lineBytes: number, reports: SessionReports): void {
    const { record } = this.#owner;
    for (const message of record.outbox) {
      // The firmware may have restarted since these messages were written to it.
      if (message.text.startsWith(FIRMWARE)) {
        if (!isForFirmware(message.text)) reports.notWritten(record.id, message.text);
        this.withdraw(message);
      } else if (byteLength(message.text) > lineBytes) {
        const why = `the device has come back and accepts only ${lineBytes} bytes`;
        this.#fails(message, new LocalError("BAD_TEXT", why));
      }
    }
  }

  /** Drops all messages. @param why The error for their writers. @returns how many were not withdrawn before */
  clear(why: LocalError): number {
    const { record } = this.#owner;
    let count = 0;
    while (record.outbox.length > 0) {
      const message = record.settle();
      if (isOfApplication(message)) count++;
      this.#leaves(message);
      const writer = this.#takeWriter(message);
      writer?.failed(why);
      if (!writer && message.text !== WITHDRAWN) this.#reply(message, failure(why));
    }
    return count;
  }

  #leaves({ text }: Outgoing): void {
    if (text !== WITHDRAWN) this.#text.remove(text);
  }

  #takeWriter(message: Outgoing): Writer | undefined {
    const writer = this.#writers?.get(message);
    if (writer) this.#writers!.delete(message);
    return writer;
  }

  /** Why no message can be accepted now, for people; undefined: one can. */
  whyFull(now: number): string | undefined {
    const { record: { outbox }, limits, share } = this.#owner;
    if (outbox.length >= limits.outbox || this.#text.units >= limits.queueText) {
      return `${outbox.length} messages wait for this device: await write, or drop some with clear`;
    }
    if (outbox.length > 0 && !share.hasRoom) return share.whyFull;
    if (limits.outboxAge === Infinity) return undefined;
    const oldest = outbox.find((message) => message.qos && isOfApplication(message));
    const age = now - (oldest?.written ?? now);
    if (age <= limits.outboxAge) return undefined;
    return `the oldest of ${outbox.length} messages has waited for this device for ` +
      `${seconds(age)}, more than ${seconds(limits.outboxAge)} (limit outboxAge):  ` +
      `${this.#owner.whereabouts(now)}; writes work again when the device has acknowledged it`;
  }

  /** A connection has begun. */
  connected(dialect: Dialect, now: number): void {
    this.#deadlines.connected(dialect.isTold);
    this.#expire(now, dialect);
  }

  /** A connection has ended. */
  disconnected(dialect: Dialect): void {
    this.#deadlines.disconnected(dialect.underWay);
  }

  /** When to call `expire`; Infinity: not before something is written. */
  get expiry(): number {
    return this.#deadlines.next;
  }

  /** Withdraws the messages past their deadline whose fate is known. */
  expire(now: number, dialect: Dialect | undefined): void {
    if (now >= this.expiry) this.#expire(now, dialect);
  }

  #expire(now: number, dialect: Dialect | undefined): void {
    const { record, counts } = this.#owner;
    for (const [message, fate] of this.#deadlines.due(now, dialect)) {
      if (fate === "open") continue;
      const error = explainFate(fate, "device");
      const { text } = message;
      counts.expired++;
      this.#fails(message, error);
      (this.#expired ??= []).push({ text, error });
    }
    // The next connection starts after them.
    while (!dialect && record.outbox[0]?.text === WITHDRAWN) record.settle();
  }

  /** Messages that were withdrawn at their deadline since the last call. */
  takeExpired(): readonly Expired[] {
    const expired = this.#expired ?? NONE;
    this.#expired = undefined;
    return expired;
  }

  /** See `Deadlines`. */
  late(now: number): number {
    return this.#deadlines.late(now);
  }
}

/** @throws {LocalError} BAD_ARGUMENT */
export function checkManner(
  { qos = true, wait = true, expires }: WriteOptions,
  now: number,
): Manner {
  const manner = { overtakes: !wait, qos };
  checkExpiry(expires, qos);
  return expires === undefined ? manner : { ...manner, expires: now + expires };
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
