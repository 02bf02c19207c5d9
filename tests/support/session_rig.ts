/**
 * A session in dialect 1 without sockets, stores and clocks.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Dialect1 } from "../../server/link/dialect1.ts";
import { defaultLimits, type Limits } from "../../server/link/limits.ts";
import type { WriteOptions } from "../../server/link/outbox.ts";
import { Session } from "../../server/link/session.ts";
import { PeerError } from "../../server/protocol/errors.ts";
import { LineSplitter } from "../../server/protocol/lines.ts";
import { Records } from "./records.ts";

const encoder = new TextEncoder();

/** Timeout in ms, of virtual time. */
export const TIMEOUT = 1000;

/** A session in dialect 1; the test takes the place of device, store and clock. */
export class SessionRig {
  readonly store = new Records();
  readonly record = this.store.create("1");
  session: Session;
  now = 5000;
  /** Whether the socket takes what the session sends. */
  takes = true;
  #sent = "";
  #splitter!: LineSplitter;

  constructor(readonly limits: Partial<Limits> = {}) {
    this.session = new Session(this.record, TIMEOUT, { ...defaultLimits, ...limits });
  }

  /** A link on which both ends have received something, but no message. */
  static up(limits: Partial<Limits> = {}): SessionRig {
    const link = new SessionRig(limits);
    link.connect("\n");
    link.said();
    return link;
  }

  /** The same, with the server's first message acknowledged: the next one's id is 01. */
  static booted(limits: Partial<Limits> = {}): SessionRig {
    const link = SessionRig.up(limits);
    link.write("boot");
    assertEquals(link.said(), ["00boot"]);
    link.hears("00\n");
    return link;
  }

  /** A new connection, on which `text` arrives after the hello. */
  connect(text = ""): void {
    this.#splitter = new LineSplitter(this.session.limits.lineBytes + 2);
    const { session } = this;
    session.disconnect();
    const dialect = new Dialect1(this.record, session.settled, TIMEOUT);
    session.connect(dialect, session.limits.lineBytes, true, this.now);
    this.hears(text);
  }

  /** The connection is lost; returns what it carried since the last call. */
  lose(): string[] {
    this.session.disconnect();
    return this.said();
  }

  /** Restarts the server with what it remembers. */
  restart(): void {
    this.session = new Session(this.record, TIMEOUT, this.session.limits);
  }

  hears(text: string): void {
    if (text !== "") this.session.receive(this.#splitter.push(encoder.encode(text)), this.now);
    this.flush();
  }

  flush(): void {
    this.store.commit();
    if (this.takes) this.#sent += this.session.transmit(this.now);
  }

  /** What was sent since the last call, without keepalives. */
  said(): string[] {
    return this.saidAll().filter((line) => line !== "");
  }

  saidAll(): string[] {
    const lines = this.#sent.split("\n");
    assertEquals(lines.pop(), "", "every line is ended");
    this.#sent = "";
    return lines;
  }

  /** Lets `ms` pass, with calls at the deadlines and at no other time. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = this.session.deadline();
      assert(due > this.now || !this.takes, "after a call the deadline is in the future");
      if (due > end || !this.takes) break;
      this.now = due;
      this.session.tick(this.now);
      this.flush();
    }
    this.now = end;
    this.session.tick(this.now);
  }

  /** The same, with a keepalive from the device four times in every timeout. */
  passAlive(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.pass(Math.min(TIMEOUT / 4, end - this.now));
      this.hears("\n");
    }
  }

  /** Writes; the result tells whether it was accepted, and later whether it was acknowledged. */
  write(text: string, options: WriteOptions = {}): { accepted: boolean; acked: number } {
    const result = { accepted: false, acked: 0 };
    result.accepted = this.session.write(text, options, {
      arrived: () => result.acked++,
      failed: (error) => {
        throw error;
      },
    }, this.now);
    this.flush();
    return result;
  }

  /** The application reads a message, and has thereby processed it. */
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

/** A line of the device; without a text, an ack. */
export function frame(id: number, text = ""): string {
  return `${id.toString(16).padStart(2, "0")}${text}\n`;
}

/** Fails unless the call throws a PeerError with this code. */
export function breaks(code: string, call: () => void): void {
  assertEquals(assertThrows(call, PeerError).code, code);
}
