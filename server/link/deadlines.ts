/**
 * Deadlines of messages to a device: each message is delivered, or its writer gets EXPIRED and it is never delivered.
 *
 * A message that has not been sent at its deadline is withdrawn. If it has been sent, only the device knows whether it
 * has arrived: its ack says so or, after the connection, its next greeting, which in dialect 2 says what the device
 * has. If neither can come (dialect 1 has no such greeting; in dialect 2 the device may have lost its memory since, or
 * while the server was down), the message is withdrawn as well, and its writer gets UNDECIDED.
 */
import type { Dialect } from "./dialect.ts";
import { distance } from "./dialect2.ts";
import { type DeviceRecord, type Outgoing, WITHDRAWN } from "./record.ts";

/** What is known about a message whose deadline has passed. */
export type Fate =
  | "EXPIRED" // the device does not have it
  | "UNDECIDED" // nobody can tell any more
  | "open"; // an ack or a greeting will tell

/** A message's deadline; Infinity: it has none, or was withdrawn. */
function endOf({ text, expires = Infinity }: Outgoing): number {
  return text === WITHDRAWN ? Infinity : expires;
}

export class Deadlines {
  /** The next deadline; Infinity: only acks and greetings can decide more. */
  next = Infinity;
  readonly #record: DeviceRecord;
  #isAnyLate = false; // whether a message under way may be past its deadline
  #sentUntil: number; // number of the first message that was not sent on any earlier connection

  constructor(record: DeviceRecord) {
    this.#record = record;
    this.#sentUntil = (record.txFirst + record.sent) >>> 0;
    for (const message of record.outbox) this.add(message);
  }

  /** A message was accepted. */
  add(message: Outgoing): void {
    this.next = Math.min(this.next, endOf(message));
  }

  /** A connection has begun. @param isTold Whether its greeting said what the device has. */
  connected(isTold: boolean): void {
    const record = this.#record;
    const isSure = isTold && !record.mayHaveForgotten;
    record.mayHaveForgotten = false;
    for (const message of record.outbox) {
      if (isSure || message.isDoubtful || endOf(message) === Infinity) continue;
      if (this.#wasSent(message)) record.doubt(message);
    }
    this.#sentUntil = record.txFirst;
  }

  /** A connection has ended, on which this many messages of the outbox were under way. */
  disconnected(underWay: number): void {
    this.#sentUntil = (this.#record.txFirst + underWay) >>> 0;
  }

  #wasSent({ seq }: Outgoing): boolean {
    return distance(seq, this.#sentUntil) > 0;
  }

  /** Messages past their deadline. @param dialect The dialect of the connection, if there is one. */
  due(now: number, dialect: Dialect | undefined): [Outgoing, Fate][] {
    const due: [Outgoing, Fate][] = [];
    this.next = Infinity;
    this.#isAnyLate = false;
    this.#record.outbox.forEach((message, index) => {
      if (endOf(message) > now) return this.add(message);
      const fate = this.#fate(message, index, dialect);
      due.push([message, fate]);
      this.#isAnyLate ||= fate === "open";
    });
    return due;
  }

  #fate(message: Outgoing, index: number, dialect: Dialect | undefined): Fate {
    if (message.id !== undefined) return "UNDECIDED"; // an ack of dialect 1 may never come
    if (dialect && index < dialect.underWay) return "open";
    if (message.isDoubtful) return "UNDECIDED";
    return !dialect && this.#wasSent(message) ? "open" : "EXPIRED";
  }

  /** The earliest deadline of messages under way; Infinity: no deadline has passed so far. */
  late(now: number): number {
    if (!this.#isAnyLate) return Infinity;
    // All other messages past their deadline were withdrawn.
    const first = Math.min(...this.#record.outbox.map(endOf));
    this.#isAnyLate = first <= now;
    return first;
  }
}
