/**
 * A session in dialect 2 without sockets, stores and clocks.
 *
 * @module
 */
import { Dialect1 } from "../../server/link/dialect1.ts";
import { agree, Dialect2 } from "../../server/link/dialect2.ts";
import { defaultLimits, type Limits } from "../../server/link/limits.ts";
import type { WriteOptions } from "../../server/link/outbox.ts";
import { Session } from "../../server/link/session.ts";
import type { LocalError } from "../../server/protocol/errors.ts";
import type { Hello2 } from "../../server/protocol/greeting.ts";
import { LineSplitter } from "../../server/protocol/lines.ts";
import { saidAtFirst } from "./greeting.ts";
import { Records } from "./records.ts";
import { TIMEOUT } from "./session_rig.ts";

const encoder = new TextEncoder();

/** The outcome of a write. */
export interface Written {
  accepted: boolean;
  arrived: number;
  failed: LocalError | undefined;
}

/** A session in dialect 2; the test takes the place of device, store and clock. */
export class Dialect2Rig {
  readonly store = new Records();
  readonly record = this.store.create("1");
  session: Session;
  now = 5000;
  /** The device's hello. It is updated with what the device gets, so that it can reconnect. */
  hello: Hello2 = { ...saidAtFirst, suite: 0, txEpoch: 77, metadata: "" };
  #sent = "";
  #splitter!: LineSplitter;

  constructor(readonly limits: Partial<Limits> = {}) {
    this.session = new Session(this.record, TIMEOUT, { ...defaultLimits, ...limits });
  }

  static up(said: Partial<Hello2> = {}, limits: Partial<Limits> = {}): Dialect2Rig {
    const link = new Dialect2Rig(limits);
    link.connect(said);
    return link;
  }

  /** A new connection. Returns what the welcome said. */
  connect(said: Partial<Hello2> = {}) {
    this.hello = { ...this.hello, ...said };
    this.session.disconnect();
    const agreement = agree(this.hello, this.record, this.session.limits);
    if (!agreement.isTold) this.record.mayHaveForgotten = true; // as `Admission` notes
    this.#splitter = new LineSplitter(this.session.limits.lineBytes + 2);
    const dialect = new Dialect2(this.hello, agreement, this.session);
    this.session.connect(dialect, this.hello.line, false, this.now);
    this.flush();
    return { ...agreement.welcome, renamed: agreement.renamed, older: agreement.older };
  }

  /** A new connection in dialect 1. */
  connect1(): void {
    this.session.disconnect();
    this.#splitter = new LineSplitter(this.session.limits.lineBytes + 2);
    const dialect = new Dialect1(this.record, this.session.settled, TIMEOUT);
    this.session.connect(dialect, this.session.limits.lineBytes, true, this.now);
    this.flush();
  }

  /** The device comes back after it has received our stream up to here. */
  resume(rxNext: number, txFirst = this.record.positions.rxNext) {
    return this.connect({ rxEpoch: this.record.positions.txEpoch, rxNext, txFirst });
  }

  lose(): void {
    this.session.disconnect();
    this.#sent = "";
  }

  hears(text: string): void {
    this.session.receive(this.#splitter.push(encoder.encode(text)), this.now);
    this.flush();
  }

  flush(): void {
    this.store.commit();
    this.#sent += this.session.transmit(this.now);
  }

  /** What was sent since the last call, without keepalives. */
  said(): string[] {
    const lines = this.#sent.split("\n").filter((line) => line !== "");
    this.#sent = "";
    return lines;
  }

  write(text: string, options: WriteOptions = {}): Written {
    const result: Written = { accepted: false, arrived: 0, failed: undefined };
    result.accepted = this.session.write(text, options, {
      arrived: () => result.arrived++,
      failed: (error) => result.failed = error,
    }, this.now);
    this.flush();
    return result;
  }

  writeAll(count: number): Written[] {
    return Array.from({ length: count }, (_, n) => this.write(`message ${n}`));
  }

  read(): string | undefined {
    this.flush();
    const text = this.session.peek();
    if (text !== undefined) this.session.shift();
    this.flush();
    return text;
  }

  readAll(): string[] {
    const texts: string[] = [];
    for (let text; (text = this.read()) !== undefined;) texts.push(text);
    return texts;
  }
}

/** A line of either end; without a text, an ack. */
export function frame(number: number, text = ""): string {
  return `${(number & 255).toString(16).padStart(2, "0")}${text}`;
}

/** Consecutive messages of the device. */
export function lines(from: number, count: number): string {
  return Array.from({ length: count }, (_, n) => `${frame(from + n, `text ${from + n}`)}\n`).join(
    "",
  );
}
