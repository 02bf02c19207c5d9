/** A client's outbox: messages that wait for room in the core, those in the core, and the writers that wait for them. */
import { LocalError } from "../../server/protocol/errors.ts";
import { explainFate } from "../../server/protocol/expiry.ts";
import type { Core } from "./core.ts";
import type { CoreSize } from "./core_size.ts";
import type { KeptMessage, KeptOutbox, MemoryChange } from "./memory.ts";

/** Most writes that wait for room in the core's outbox. */
const MOST_WRITERS = 1024;

/** Most messages that a core holds, and bytes of its outbox that each takes beside its text. */
const MOST_IN_CORE = 64;
const OVERHEAD = 7;

/** How to send a message to the server. */
export interface ClientWriteOptions {
  /** Sent again until it is acknowledged. Without: sent at once if there is a link, or never. Default true. */
  qos?: boolean;
  /** In dialect 1, not sent before all earlier ones are acknowledged. Dialect 2 keeps the order without
   * waiting. Default true. */
  wait?: boolean;
  /**
   * When `write` resolves: when the message has "arrived" at the server; or when it is "kept" in the client's
   * `memory`, so that it arrives whatever becomes of this process. Default "arrived".
   */
  until?: "arrived" | "kept";
  /**
   * For how long it is of use, in ms: 1 to 31,536,000,000, a year. By then it is delivered, or not any more: `write` is
   * rejected with EXPIRED. If it was sent and its ack did not come, the next connection decides; where that cannot (in
   * dialect 1, or as the server has lost its store), UNDECIDED. In a `memory` the time goes on from process to
   * process. Only with qos. Default: for ever.
   */
  expires?: number;
  /** Stops waiting. A message that is on its way already, or kept in a `memory`, may still be delivered. */
  signal?: AbortSignal;
}

/** One message. */
interface Entry {
  /** Undefined: it was withdrawn, but has its number. */
  text: Uint8Array | undefined;
  readonly qos: boolean;
  readonly wait: boolean;
  readonly until: "arrived" | "kept";
  /** Its deadline, in ms on the process's clock; Infinity: none. */
  readonly expires: number;
  /** An earlier process may have sent it. */
  readonly wasSent: boolean;
  /** The server may have it, and cannot say so any more. */
  isDoubtful: boolean;
  /** Its writer waits for one of these. */
  done(sent: boolean): void;
  fail(reason: unknown): void;
}

/** Nobody waits for it: it has no qos, or its writer was in an earlier process. */
function silent(text: Uint8Array | undefined, expires = Infinity, wasSent = false): Entry {
  const isDoubtful = false;
  const until = "kept";
  return { text, qos: true, wait: true, until, expires, wasSent, isDoubtful, done() {}, fail() {} };
}

/** The size of a core that can hold what an earlier one may have sent. */
export function sizeFor(size: CoreSize, kept: KeptOutbox): CoreSize {
  const longest = Math.max(0, ...kept.messages.map(({ text }) => text.length));
  if (longest > size.line) {
    const message =
      `size.line is ${size.line}, but the memory holds a message of ${longest} bytes: raise it`;
    throw new LocalError("BAD_ARGUMENT", message);
  }
  const window = Math.min(kept.next - kept.first, MOST_IN_CORE);
  const bytes = kept.messages.filter(({ number }) => number < kept.first + window)
    .reduce((sum, { text }) => sum + text.length, window * (1 + OVERHEAD));
  return {
    ...size,
    window: Math.max(size.window, window),
    outbox: Math.max(size.outbox, bytes),
  };
}

/** Whose messages they are. */
export interface OutboxOwner {
  readonly core: Core;
  /** Dialect 1: order is kept by waiting. */
  readonly waits: boolean;
  /** The process's clock, in ms, and what it is behind that of the memory. */
  now(): number;
  readonly behind: number;
  /** A message was withdrawn as its time was up. */
  expired(text: Uint8Array, error: LocalError): void;
}

/**
 * Messages on their way to the server. Without a memory they go into the core as there is room. With one, they get
 * their numbers and become safe first, all of one turn of the event loop in one commit. Only then they go into the
 * core; and their writers are told when the memory knows it, too. So whatever process comes next, it writes each
 * message under the number under which the server may have it already.
 */
export class Outbox {
  readonly #owner: OutboxOwner;
  readonly #core: Core;
  readonly #isKept: boolean;
  readonly #waits: boolean;
  /** Not in the memory yet. */
  #fresh: Entry[] = [];
  /** Not in the core yet. */
  #waiting: Entry[] = [];
  /** In the core. */
  #sent: Entry[] = [];
  /** Number of the oldest message in the core, counted from the beginning of the stream. */
  #first = 0;
  /** With a memory: number of the next message that it is given. */
  #next = 0;
  /** What the memory knows. */
  #keptFirst = 0;
  #keptEpoch: number | undefined;
  /** Numbers of messages that it is to forget. */
  #withdrawn: number[] = [];
  /** Results for writers, once they are known. */
  #news: (() => void)[] = [];
  /** The streams, by whose positions the next greeting says what has arrived. */
  #streams: string;
  /** When the time of a message is up; Infinity: of none. */
  #expiry = Infinity;
  /** Deadline of the first late message whose outcome only the server knows; Infinity: there is none. */
  #lateSince = Infinity;

  /** @param kept What an earlier process has left; "nothing" if there is a memory and nothing in it. */
  constructor(owner: OutboxOwner, kept?: KeptOutbox | "nothing") {
    this.#owner = owner;
    this.#core = owner.core;
    this.#waits = owner.waits;
    this.#isKept = kept !== undefined;
    this.#streams = this.#namesOfStreams;
    if (kept === undefined || kept === "nothing") return;
    const { first, next, epoch, messages } = kept;
    this.#first = this.#keptFirst = first;
    this.#next = next;
    this.#keptEpoch = epoch;
    const byNumber = new Map(messages.map((message) => [message.number, message]));
    for (let number = first; number < next; number++) {
      const { text, expires = Infinity } = byNumber.get(number) ?? {};
      this.#add(this.#waiting, silent(text, expires - owner.behind, true));
    }
    // At once: the server may be about to say that it has them.
    this.#fill(false);
  }

  #add(queue: Entry[], entry: Entry): void {
    queue.push(entry);
    this.#expiry = Math.min(this.#expiry, entry.expires);
  }

  /** How many messages the server has not acknowledged. */
  get length(): number {
    return this.#fresh.length + this.#waiting.length + this.#sent.length;
  }

  /**
   * Adds a message.
   *
   * @param isUp Whether there is a link.
   * @param pump To be called when there is something new for the core, or for the memory.
   */
  async write(
    text: Uint8Array,
    { qos = true, wait = true, until = "arrived", expires = Infinity, signal }: ClientWriteOptions,
    isUp: boolean,
    pump: () => void,
  ): Promise<boolean> {
    if (!qos && !this.#isKept) {
      const accepted = this.#core.write(text, false);
      if (accepted) this.#sent.push(silent(text));
      pump();
      return accepted;
    }
    // Its number would have to wait for its turn.
    if (!qos && (!isUp || this.#waiting.length > 0)) return false;
    if (this.#waiting.length + this.#fresh.length >= MOST_WRITERS) {
      throw new LocalError("OUTBOX_FULL", `${MOST_WRITERS} writes already wait: await them`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const entry: Entry = {
      text,
      qos,
      wait,
      until,
      expires: expires === Infinity ? Infinity : this.#owner.now() + expires,
      wasSent: false,
      isDoubtful: false,
      done: resolve,
      fail: reject,
    };
    this.#add(this.#isKept ? this.#fresh : this.#waiting, entry);
    const abort = () => {
      this.#fresh = this.#fresh.filter((other) => other !== entry);
      if (!this.#isKept) this.#waiting = this.#waiting.filter((other) => other !== entry);
      reject(signal!.reason);
      pump(); // it may have held up others
    };
    signal?.addEventListener("abort", abort);
    pump();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Sees what has arrived, and moves messages into the core as their turn comes. @param isUp As for `write`. */
  exchange(isUp: boolean): void {
    this.#settle();
    const due = Math.min(this.#expiry, this.#lateSince);
    if (due < Infinity) { // reading the clock is a call out of JavaScript, and this runs several times per message
      const now = this.#owner.now();
      if (now >= due) this.#expire(now);
    }
    // In dialect 1 what is in the core may be there, and nobody can say. In dialect 2 how long a text may be is for the
    // server to say, in its first greeting.
    if (this.#waits ? isUp : this.#core.connects > 0) this.#fill(isUp);
  }

  /** When the time of the next message is up; Infinity: of none. */
  get expiry(): number {
    return this.#expiry;
  }

  /** When the time was up of the first message that is on its way, or may be there; Infinity: of none. Dialect 2 */
  get lateSince(): number {
    return this.#waits ? Infinity : this.#lateSince;
  }

  /** Withdraws what is of no use any more, as far as it is known what has become of it. */
  #expire(now: number): void {
    this.#expiry = this.#lateSince = Infinity;
    this.#fresh = this.#fresh.filter((entry) => {
      if (!this.#isOver(entry, now)) return true;
      this.#withdraw(entry, "EXPIRED");
      return false;
    });
    const first = this.#first + this.#sent.length; // of those that wait
    const waiting = this.#waiting.filter((entry, i) => {
      if (!this.#isOver(entry, now) || entry.wasSent) return true;
      this.#withdraw(entry, "EXPIRED", first + i);
      return this.#isKept; // then it has a number
    });
    this.#waiting = waiting;
    this.#sent.forEach((entry, i) => {
      if (!this.#isOver(entry, now)) return;
      const number = this.#first + i;
      const fate = this.#core.expire(number);
      if (!fate) this.#lateSince = Math.min(this.#lateSince, entry.expires);
      else this.#withdraw(entry, entry.isDoubtful ? "UNDECIDED" : fate, number);
    });
  }

  #isOver({ text, expires }: Entry, now: number): boolean {
    if (!text) return false; // withdrawn before
    if (expires > now) this.#expiry = Math.min(this.#expiry, expires);
    return expires <= now;
  }

  /** @param number The memory's number for it. */
  #withdraw(entry: Entry, fate: "EXPIRED" | "UNDECIDED", number?: number): void {
    const text = entry.text!;
    const error = explainFate(fate, "server");
    const tell = () => {
      entry.fail(error);
      this.#owner.expired(text, error);
    };
    entry.text = undefined;
    if (!this.#isKept || number === undefined) return tell();
    this.#withdrawn.push(number);
    this.#news.push(tell);
  }

  #settle(): void {
    for (; this.#first % 2 ** 32 !== this.#core.done; this.#first++) {
      const entry = this.#sent.shift();
      if (this.#isKept) this.#news.push(() => entry?.done(true));
      else entry?.done(true);
    }
  }

  #fill(isUp: boolean): void {
    const core = this.#core;
    for (let entry; (entry = this.#waiting[0]);) {
      if (this.#waits && entry.wait && core.queued !== core.done) return;
      // Without a link, it may not have been the server who said so.
      if (isUp && entry.qos && this.#isTooLong(entry)) {
        this.#refuse(entry, this.#first + this.#sent.length);
        if (!this.#isKept) {
          this.#waiting.shift();
          continue;
        }
      }
      if (!entry.text) {
        if (!core.writeWithdrawn()) return;
      } else if (entry.qos) {
        if (!core.write(entry.text, true, entry.wasSent)) return;
      } else {
        const accepted = core.write(entry.text, false);
        entry.done(accepted);
        if (!accepted) {
          entry.text = undefined; // the memory has given its number away
          continue;
        }
      }
      this.#add(this.#sent, this.#waiting.shift()!);
    }
  }

  #isTooLong({ text }: Entry): boolean {
    return text !== undefined && text.length > this.#core.longest;
  }

  /** The server cannot take it. */
  #refuse(entry: Entry, number: number): void {
    const { longest } = this.#core;
    const error = new LocalError("BAD_TEXT", `the server takes at most ${longest} bytes`);
    entry.text = undefined;
    if (!this.#isKept) return entry.fail(error);
    this.#withdrawn.push(number);
    this.#news.push(() => entry.fail(error));
  }

  get #namesOfStreams(): string {
    return `${this.#core.position.epoch} ${this.#core.epoch}`;
  }

  /**
   * The link is up. If the server has come back with shorter lines, the core has withdrawn what does not fit them. If
   * it has come back without what it knew, it cannot say what was there.
   */
  linkUp(): void {
    this.#settle();
    const before = this.#streams;
    this.#streams = this.#namesOfStreams;
    if (before !== this.#streams && !before.startsWith("0 ")) {
      for (const entry of this.#sent) entry.isDoubtful = true;
    }
    for (const [i, entry] of this.#sent.entries()) {
      if (this.#isTooLong(entry)) this.#refuse(entry, this.#first + i);
    }
  }

  /** Whether there is something that the memory does not know. */
  get isDirty(): boolean {
    return this.#fresh.length > 0 || this.#withdrawn.length > 0 ||
      this.#first !== this.#keptFirst || this.#core.epoch !== this.#keptEpoch;
  }

  /** Changes that the memory does not have yet. Either `committed` or `failed` follows at once. */
  get change(): Omit<MemoryChange, "progress" | "clock"> {
    const written: KeptMessage[] = [];
    const { behind } = this.#owner;
    for (const [i, { text, qos, expires }] of this.#fresh.entries()) {
      // What has no qos gets a number, which nobody may use again.
      if (!text || !qos) continue;
      const end = expires === Infinity ? {} : { expires: Math.round(expires + behind) };
      written.push({ number: this.#next + i, text, ...end });
    }
    return {
      epoch: this.#core.epoch,
      first: this.#first,
      next: this.#next + this.#fresh.length,
      withdrawn: this.#withdrawn,
      written,
    };
  }

  /** The memory knows everything. */
  committed(): void {
    this.#next += this.#fresh.length;
    this.#keptFirst = this.#first;
    this.#keptEpoch = this.#core.epoch;
    this.#withdrawn = [];
    for (const entry of this.#fresh.splice(0)) {
      if (entry.until === "kept") entry.done(true);
      this.#waiting.push(entry);
    }
    for (const tell of this.#news.splice(0)) tell();
  }

  /** The memory knows nothing of it: what is new was not accepted, and the rest is tried again. */
  failed(error: LocalError): void {
    for (const entry of this.#fresh.splice(0)) entry.fail(error);
  }

  /** Nothing will be sent any more. */
  close(error: LocalError): void {
    for (const entry of [...this.#sent, ...this.#waiting, ...this.#fresh]) entry.fail(error);
  }
}
