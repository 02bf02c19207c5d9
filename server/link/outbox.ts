/** A session's messages to its device: who waits for them, what room they take, and when their time is up. */
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

/** How a message is to be sent. */
export interface WriteOptions {
  /** Sent again until it is acknowledged. Without: sent at once if there is a link, or never. Default true. */
  qos?: boolean;
  /** In dialect 1, not sent before all earlier ones are acknowledged. Dialect 2 needs no waiting. Default true. */
  wait?: boolean;
  /**
   * For how long it is of use, in ms: 1 to 31,536,000,000, a year. By then it is delivered, or not any more: who wrote
   * it is told EXPIRED. If it was sent and its ack did not come, the next connection decides; where that cannot (in
   * dialect 1, or as the device has lost its memory), UNDECIDED. Only with qos. Default: for ever.
   */
  expires?: number;
}

/** Who wrote a message, and wants to know what became of it. */
export interface Writer {
  /** The message has been accepted. */
  accepted?(message: Outgoing): void;
  arrived(): void;
  /** It is not sent any more. That is not safe yet. */
  failed(error: LocalError): void;
}

/** A message that was withdrawn as its time was up. */
export interface Expired {
  readonly text: string;
  /** EXPIRED or UNDECIDED. */
  readonly error: LocalError;
}

const NONE: readonly Expired[] = [];

/** Whose messages they are. */
export interface OutboxOwner {
  readonly record: DeviceRecord;
  readonly limits: Limits;
  readonly share: PoolShare;
  readonly counts: MessageCounts;
  /** Where the device is, for people. */
  whereabouts(now: number): string;
}

export class Outbox {
  readonly #owner: OutboxOwner;
  readonly #text: QueueText; // of what was not withdrawn
  readonly #deadlines: Deadlines;
  #writers: Map<Outgoing, Writer> | undefined; // of those who wait
  #expired: Expired[] | undefined; // that nobody has asked for yet

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

  /** A message to the device's firmware: there is always room for the few that there are, and nobody counts them. */
  add(text: string, now: number): Outgoing {
    this.#text.add(text);
    return this.#owner.record.write(text, { overtakes: false, qos: true }, now);
  }

  /** The message accepted last never was. */
  unaccept(): void {
    const { record, counts } = this.#owner;
    this.#leaves(record.outbox.at(-1)!);
    counts.written--;
    record.unwrite();
  }

  /** A message without qos is in the record as well. */
  added(line: string): void {
    this.#text.add(line);
  }

  /** Somebody waits for a message. */
  await(message: Outgoing, writer: Writer): void {
    (this.#writers ??= new Map()).set(message, writer);
    writer.accepted?.(message);
  }

  /** The device has a message, or it was withdrawn: it has left the outbox. */
  settled(message: Outgoing): void {
    this.#leaves(message);
    if (message.qos && isOfApplication(message)) this.#owner.counts.delivered++;
    const writer = this.#takeWriter(message);
    writer?.arrived();
    if (!writer && message.text !== WITHDRAWN) this.#reply(message, DONE);
  }

  /** The process is told that has written the message, if nobody here waits for it. */
  #reply({ from }: Outgoing, outcome: Outcome): void {
    if (from !== undefined) this.#owner.record.reply(from, outcome);
  }

  /** A message is not to be sent any more, and who has written it is told why. */
  #fails(message: Outgoing, why: LocalError): void {
    const writer = this.withdraw(message);
    writer?.failed(why);
    if (!writer) this.#reply(message, failure(why));
  }

  /** A message is not to be sent any more. @returns who waits for it */
  withdraw(message: Outgoing): Writer | undefined {
    this.#leaves(message);
    this.#owner.record.withdraw(message);
    return this.#takeWriter(message);
  }

  /**
   * A device has come back: withdraws what it cannot take any more.
   *
   * @param lineBytes Longest text that it takes.
   * @param reports Told of what was never written by today's rules.
   */
  fit(lineBytes: number, reports: SessionReports): void {
    const { record } = this.#owner;
    for (const message of record.outbox) {
      // What was said to the firmware was said to one that may have been started again since.
      if (message.text.startsWith(FIRMWARE)) {
        if (!isForFirmware(message.text)) reports.notWritten(record.id, message.text);
        this.withdraw(message);
      } else if (byteLength(message.text) > lineBytes) {
        const why = `the device has come back and takes only ${lineBytes} bytes`;
        this.#fails(message, new LocalError("BAD_TEXT", why));
      }
    }
  }

  /** Drops all. @param why What their writers are told. @returns how many were not withdrawn before */
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

  /** Why no message can be accepted now, for people; undefined: it can. */
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
      `${seconds(age)}, and ${seconds(limits.outboxAge)} is the most (limit outboxAge): ` +
      `${this.#owner.whereabouts(now)}; it goes on when the device has taken that message`;
  }

  /** A connection is there, and is to be used from now on. */
  connected(dialect: Dialect, now: number): void {
    this.#deadlines.connected(dialect.isTold);
    this.#expire(now, dialect);
  }

  /** A connection is gone. */
  disconnected(dialect: Dialect): void {
    this.#deadlines.disconnected(dialect.underWay);
  }

  /** When `expire` is to be called; Infinity: never, as long as nothing is written. */
  get expiry(): number {
    return this.#deadlines.next;
  }

  /** Withdraws the messages whose time is up, as far as it is known what has become of them. */
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
    // The next connection begins behind them.
    while (!dialect && record.outbox[0]?.text === WITHDRAWN) record.settle();
  }

  /** Messages that were withdrawn since the last call, as their time was up. */
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
