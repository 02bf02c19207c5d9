/**
 * Deadlines of messages to a device: each is delivered, or its writer is told EXPIRED and it never is.
 *
 * What has not been sent when its time is up is withdrawn. Of what has been sent only the device knows whether it is
 * there. Its ack says so; or, after the connection, its next greeting does, which in dialect 2 tells what it has. Where
 * neither can come (dialect 1 has no such greeting; a device of dialect 2 may have lost its memory since; so it may
 * while a server was not there) the message is withdrawn as well, and its writer is told UNDECIDED.
 */
import type { Dialect } from "./dialect.ts";
import { distance } from "./dialect2.ts";
import { type DeviceRecord, type Outgoing, WITHDRAWN } from "./record.ts";

/** What is known about a message whose deadline has passed. */
export type Fate =
  | "EXPIRED" // the device does not have it
  | "UNDECIDED" // nobody can say any more
  | "open"; // an ack or a greeting will say

/** When a message's time is up; Infinity: never, or it was withdrawn. */
function endOf({ text, expires = Infinity }: Outgoing): number {
  return text === WITHDRAWN ? Infinity : expires;
}

export class Deadlines {
  /** When the next message's time is up; Infinity: only acks and greetings can tell more. */
  next = Infinity;
  readonly #record: DeviceRecord;
  #isAnyLate = false; // of those on their way, perhaps
  #sentUntil: number; // number of the first message that has not been sent on any connection before this one

  constructor(record: DeviceRecord) {
    this.#record = record;
    this.#sentUntil = (record.txFirst + record.sent) >>> 0;
    for (const message of record.outbox) this.add(message);
  }

  /** A message was accepted. */
  add(message: Outgoing): void {
    this.next = Math.min(this.next, endOf(message));
  }

  /** A connection is there. @param isTold Whether its greeting has told what the device has. */
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

  /** A connection is gone, on which this many messages of the outbox were on their way. */
  disconnected(underWay: number): void {
    this.#sentUntil = (this.#record.txFirst + underWay) >>> 0;
  }

  #wasSent({ seq }: Outgoing): boolean {
    return distance(seq, this.#sentUntil) > 0;
  }

  /** Messages whose time is up. @param dialect Of the connection, if there is one. */
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

  /** When the time was up, or will be, of the first message on its way; Infinity: no deadline has passed so far. */
  late(now: number): number {
    if (!this.#isAnyLate) return Infinity;
    // Of those whose time is up, all others were withdrawn.
    const first = Math.min(...this.#record.outbox.map(endOf));
    this.#isAnyLate = first <= now;
    return first;
  }
}
