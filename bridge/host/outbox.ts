/** A client's outbox: messages that wait for room in the core, those in the core, and the writers that wait for them. */
import { LocalError } from "../../server/protocol/errors.ts";
import { explainFate } from "../../server/protocol/expiry.ts";
import type { Core } from "./core.ts";
import type { CoreSize } from "./core_size.ts";
import type { KeptMessage, KeptOutbox, MemoryChange } from "./memory.ts";

/** Most writes that wait for room in the core's outbox. */
const MOST_WRITERS = 1024;

/** Most messages that a core holds, and bytes of its outbox that each takes besides its text. */
const MOST_IN_CORE = 64;
const OVERHEAD = 7;

/** How to send a message to the server. */
export interface ClientWriteOptions {
  /**
   * If true, sent again until it is acknowledged; if false, sent at once if there is a link, or never. Default true.
   */
  qos?: boolean;
  /** In dialect 1, whether to wait until all earlier messages are acknowledged. Dialect 2 keeps the
   * order without waiting. Default true. */
  wait?: boolean;
  /**
   * When `write` resolves: when the message has "arrived" at the server; or when it is "kept" in the client's
   * `memory`, so that it arrives even if this process ends. Default "arrived".
   */
  until?: "arrived" | "kept";
  /**
   * Deadline in ms from now: 1 to 31,536,000,000, a year. If it is not delivered by then, it never is, and `write`
   * rejects with EXPIRED. If it was sent but its ack did not come, the next connection decides; if that cannot (in
   * dialect 1, or because the server has lost its store), `write` rejects with UNDECIDED. In a `memory` the time runs
   * on from process to process. Only with qos. Default: none.
   */
  expires?: number;
  /** Stops waiting. A message that is already under way, or kept in a `memory`, may still be delivered. */
  signal?: AbortSignal;
}

/** A message that was written, until its writer knows its fate. */
interface Entry {
  /** Undefined: it was withdrawn, but keeps its number. */
  text: Uint8Array | undefined;
  readonly qos: boolean;
  readonly wait: boolean;
  readonly until: "arrived" | "kept";
  /** Its deadline, in ms on the process's clock; Infinity: none. */
  readonly expires: number;
  /** Whether an earlier process may have sent it. */
  readonly wasSent: boolean;
  /** Whether the server may have it, but cannot say so any more. */
  isDoubtful: boolean;
  /** Resolves its writer's promise; `fail` rejects it. */
  done(sent: boolean): void;
  fail(reason: unknown): void;
}

/** An entry that nobody waits for: it has no qos, or its writer was in an earlier process. */
function silent(text: Uint8Array | undefined, expires = Infinity, wasSent = false): Entry {
  const isDoubtful = false;
  const until = "kept";
  return { text, qos: true, wait: true, until, expires, wasSent, isDoubtful, done() {}, fail() {} };
}

/** The size of a core that can hold everything that an earlier one may have sent. */
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

/** What an outbox needs from its owner. */
export interface OutboxOwner {
  readonly core: Core;
  /** Whether order is kept by waiting, as in dialect 1. */
  readonly waits: boolean;
  /** The process's clock, in ms, and how far it is behind that of the memory. */
  now(): number;
  readonly behind: number;
  /** A message was withdrawn at its deadline. */
  expired(text: Uint8Array, error: LocalError): void;
}

/**
 * Messages under way to the server. Without a memory they go into the core as there is room. With one, they first
 * get their numbers and become safe, all of one turn of the event loop in one commit. Only then do they go into
 * the core; and their writers are told only what the memory knows, too. So the next process writes each message
 * with the number under which the server may already have it.
 */
export class Outbox {
  readonly #owner: OutboxOwner;
  readonly #core: Core;
  readonly #isKept: boolean;
  readonly #waits: boolean;
  /** Messages that are not in the memory yet. */
  #fresh: Entry[] = [];
  /** Messages that are not in the core yet. */
  #waiting: Entry[] = [];
  /** Messages in the core. */
  #sent: Entry[] = [];
  /** Number of the oldest message in the core, counted from the beginning of the stream. */
  #first = 0;
  /** With a memory: number of the next message. */
  #next = 0;
  /** The `first` and `epoch` that the memory has: see `KeptOutbox`. */
  #keptFirst = 0;
  #keptEpoch: number | undefined;
  /** Numbers of messages for the memory to forget. */
  #withdrawn: number[] = [];
  /** Results for writers, until they may be told. */
  #news: (() => void)[] = [];
  /** The epochs of both streams, to which the positions in the next greeting refer. */
  #streams: string;
  /** The next deadline; Infinity: none. */
  #expiry = Infinity;
  /** Deadline of the first late message whose fate only the server knows; Infinity: none. */
  #lateSince = Infinity;

  /** @param kept What an earlier process has left; "nothing" if there is a memory that is empty. */
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
    // At once, because the server may soon say that it has them.
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
    // With a memory its number would have to wait for its turn.
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

  /** Settles what has arrived, and moves messages into the core as their turn comes. @param isUp As for `write`. */
  exchange(isUp: boolean): void {
    this.#settle();
    const due = Math.min(this.#expiry, this.#lateSince);
    if (due < Infinity) { // reading the clock is a call out of JavaScript, and this runs several times per message
      const now = this.#owner.now();
      if (now >= due) this.#expire(now);
    }
    // In dialect 1 nobody can tell whether the server has a message in the core, so it goes there only when the link is
    // up. In dialect 2 the server's first greeting limits the length of texts.
    if (this.#waits ? isUp : this.#core.connects > 0) this.#fill(isUp);
  }

  /** The next deadline; Infinity: none. */
  get expiry(): number {
    return this.#expiry;
  }

  /** The earliest past deadline of a message that is under way or may have arrived; Infinity: none. Dialect 2 */
  get lateSince(): number {
    return this.#waits ? Infinity : this.#lateSince;
  }

  /** Withdraws messages past their deadline whose fate is known. */
  #expire(now: number): void {
    this.#expiry = this.#lateSince = Infinity;
    this.#fresh = this.#fresh.filter((entry) => {
      if (!this.#isOver(entry, now)) return true;
      this.#withdraw(entry, "EXPIRED");
      return false;
    });
    const first = this.#first + this.#sent.length; // number of the first that waits
    const waiting = this.#waiting.filter((entry, i) => {
      if (!this.#isOver(entry, now) || entry.wasSent) return true;
      this.#withdraw(entry, "EXPIRED", first + i);
      return this.#isKept; // with a memory it keeps its number
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

  /** @param number Its number in the memory. */
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
      // Without a link, the limit may not come from the proven server.
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
          entry.text = undefined; // its number is already assigned in the memory
          continue;
        }
      }
      this.#add(this.#sent, this.#waiting.shift()!);
    }
  }

  #isTooLong({ text }: Entry): boolean {
    return text !== undefined && text.length > this.#core.longest;
  }

  /** A message is too long for the server. */
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
   * The link is up. If the server has come back with shorter lines, the core has withdrawn what does not fit. If it
   * has lost its store, it cannot say what had arrived.
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

  /** Whether something is not yet in the memory. */
  get isDirty(): boolean {
    return this.#fresh.length > 0 || this.#withdrawn.length > 0 ||
      this.#first !== this.#keptFirst || this.#core.epoch !== this.#keptEpoch;
  }

  /** Changes for the memory. Either `committed` or `failed` follows at once. */
  get change(): Omit<MemoryChange, "progress" | "clock"> {
    const written: KeptMessage[] = [];
    const { behind } = this.#owner;
    for (const [i, { text, qos, expires }] of this.#fresh.entries()) {
      // A message without qos uses up a number, too.
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

  /** The memory has committed everything. */
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

  /** The commit has failed: new messages are not accepted, and the rest is tried again. */
  failed(error: LocalError): void {
    for (const entry of this.#fresh.splice(0)) entry.fail(error);
  }

  /** Nothing will be sent any more. */
  close(error: LocalError): void {
    for (const entry of [...this.#sent, ...this.#waiting, ...this.#fresh]) entry.fail(error);
  }
}
