import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import { checkExpiry } from "../../server/protocol/expiry.ts";
import { checkText } from "../../server/protocol/lines.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import { LONGEST_TIMER, type Platform } from "../../server/transport/platform.ts";
import { type Core, coreModule, type TxStream } from "./core.ts";
import { type CoreSize, pcSize } from "./core_size.ts";
import { ClientDriver } from "./driver.ts";
import { Handout, type Progress } from "./handout.ts";
import type { ClientMemory, KeptClock, KeptOutbox } from "./memory.ts";
import { MemoryFile } from "./memory_file.ts";
import type { ConnectionOptions } from "./options.ts";
import { type ClientWriteOptions, Outbox, sizeFor } from "./outbox.ts";
import { DRAIN, sleepText } from "./sleep.ts";

/** Options of a client. */
export interface ClientOptions extends ConnectionOptions {
  /**
   * Keeps the client's position and its outbox, so that the next process receives each message once and sends what this
   * one has accepted: the name of a file (SQLite), or a memory of your own, which is closed with the client. With it, a
   * message is acknowledged when the next one is asked for. Only in dialect 2. Default: none; then a message counts as
   * processed when it is handed out.
   */
  memory?: string | ClientMemory;
  /** Sizes of the buffers. */
  size?: Partial<CoreSize>;
  /** Called when a message was withdrawn at its deadline (`expires`), also for messages of an earlier process in the
   * `memory`. The error is EXPIRED or UNDECIDED. */
  onExpired?: (text: string, error: LocalError) => void;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** A link to a server. It connects by itself, and again after every outage, until it is closed. */
export class Client implements AsyncIterable<string>, AsyncDisposable {
  readonly #platform: Platform;
  #driver: ClientDriver;
  #memory: ClientMemory | undefined;
  /** How much of the server's stream is processed according to the memory. */
  #progress: Progress | undefined;
  #handout: Handout;
  #outbox: Outbox;
  #core: Core;
  /** Offset from the process's clock to that of the memory, in ms. */
  readonly #behind: number;
  readonly #timeout: number;
  readonly #dialect: 1 | 2;
  #upAt = 0;
  #alarmAt = Infinity;
  #cancelAlarm: (() => void) | undefined;
  #line: number;
  #readers: PromiseWithResolvers<string>[] = [];
  #readiness: PromiseWithResolvers<void> | undefined;
  /** Set before a sleep: the announcement to the server, the link on which it was last sent, and who waits. */
  #nap: { text: Uint8Array; told: number; done(isTold: boolean): void } | undefined;
  #closed: LocalError | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Starts to connect.
   *
   * @param platform Clock and network. Default: those of this machine.
   * @throws {LocalError} BAD_ARGUMENT; STORE_UNUSABLE: the `memory` is not one, damaged, another
   * device's, or in use
   */
  constructor(options: ClientOptions, platform: Platform = nodePlatform) {
    const { memory, dialect = 2, id, timeout = 2000 } = options;
    this.#platform = platform;
    const size = { ...pcSize, ...options.size };
    this.#line = size.line;
    if (memory !== undefined && dialect === 1) {
      throw new LocalError("BAD_ARGUMENT", "dialect 1 cannot use a memory: leave it out");
    }
    const isOurs = typeof memory === "string";
    this.#memory = isOurs ? new MemoryFile(memory, id) : memory;
    const kept = this.#memory?.kept;
    this.#progress = kept?.progress;
    this.#handout = new Handout(kept?.progress);
    this.#timeout = timeout;
    this.#dialect = dialect;
    this.#behind = behind(kept?.clock, platform);
    const owner = {
      exchange: () => this.#exchange(),
      canReceive: () => this.#readers.length > 0 && this.#mayHandOut(),
      receive: (message: Uint8Array) => {
        const text = decode(message);
        if (this.#memory && this.#handout.offered(this.#core.position, text)) return true;
        this.#readers.shift()!.resolve(text);
        return this.#memory === undefined;
      },
      positionChanged() {}, // the memory learns it before anything is sent
      clock: () => deviceMs(platform),
      stateChanged: (connected: boolean, reason?: PeerError | LocalError) => {
        if (connected) this.#up();
        else if (this.#memory && this.#handout.endsAt(this.#core.position)) this.#core.skip();
        options.onState?.(connected, reason);
      },
      ...(this.#memory ? { isDirty: () => this.#isDirty, commit: () => this.#commit() } : {}),
    };
    try {
      const position = kept?.progress.position;
      const stream = kept && streamOf(kept.outbox);
      const boot = { ...options, position, stream, size: {} };
      const coreSize = kept ? sizeFor(size, kept.outbox) : size;
      this.#driver = new ClientDriver(owner, coreModule(), {}, boot, coreSize, platform);
    } catch (error) {
      if (isOurs) this.#memory?.close();
      throw error;
    }
    this.#core = this.#driver.core;
    const left = this.#memory && (kept?.outbox ?? "nothing");
    const outboxOwner = {
      core: this.#core,
      waits: dialect === 1,
      now: () => platform.now(),
      behind: this.#behind,
      expired: (text: Uint8Array, error: LocalError) => options.onExpired?.(decode(text), error),
    };
    this.#outbox = new Outbox(outboxOwner, left);
    this.#driver.pump();
  }

  /** Whether the link is up at present. */
  get connected(): boolean {
    return this.#driver.up;
  }

  /** How often the link came up. */
  get connects(): number {
    return this.#core.connects;
  }

  /** Messages to the server that it has not acknowledged yet; with a `memory`, also those of earlier processes. */
  get outbox(): number {
    return this.#outbox.length;
  }

  /** Whether it has a `memory`, so that a message can be "kept". */
  get remembers(): boolean {
    return this.#memory !== undefined;
  }

  /** The device's clock, as sent in hellos: the date's ms, 32 bits. It runs on when the program restarts. */
  get ms(): number {
    return deviceMs(this.#platform);
  }

  /** Resolves when the link is up. @throws {LocalError} CLOSED */
  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#driver.up) return Promise.resolve();
    return (this.#readiness ??= Promise.withResolvers()).promise;
  }

  /**
   * The next message, without its newline. A server that sends faster than this is called is slowed down.
   *
   * With a `memory`, asking for a message marks the previous one as processed; only then is that one acknowledged. If
   * the process ends before it asks, also by `close`, the next process gets the message again. Asking for several at
   * once marks them in advance.
   *
   * @throws {LocalError} CLOSED; STORE_FAILED if the `memory` cannot keep the progress, on a full disk for example:
   * then nothing is acknowledged, and you can ask again
   */
  readline(): Promise<string> {
    if (this.#closed) return Promise.reject(this.#closed);
    const left = this.#handout.asked();
    if (left !== undefined) return Promise.resolve(left);
    const reader = Promise.withResolvers<string>();
    this.#readers.push(reader);
    this.#driver.pump();
    return reader.promise;
  }

  /** All messages, until the client is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    for (;;) {
      try {
        yield await this.readline();
      } catch (error) {
        if (error === this.#closed) return;
        throw error;
      }
    }
  }

  /**
   * Sends a message; it waits through outages. With a `memory`, the next process sends what this one has kept but not
   * sent.
   *
   * @param text One line of well-formed Unicode, not empty. A newline at its end is optional.
   * @returns true once the server has acknowledged it, or see `until`; without qos, true if it was handed to the
   * network and false if there is no link, or no room in the outbox
   * @throws {LocalError} BAD_ARGUMENT; EXPIRED and UNDECIDED, see `expires`; BAD_TEXT, also when a server comes back
   * that accepts only shorter lines; OUTBOX_FULL if 1,024 writes wait already; STORE_FAILED if the `memory` cannot
   * keep it: it was not accepted; CLOSED: it may be in the `memory`, and the next process may deliver it
   */
  async write(text: string, options: ClientWriteOptions = {}): Promise<boolean> {
    if (this.#closed) throw this.#closed;
    options.signal?.throwIfAborted();
    const { qos = true, until = "arrived", expires } = options;
    checkExpiry(expires, qos);
    if (until === "kept" && !(qos && this.#memory)) {
      const message = "only a client with a memory can keep a message, and only one with qos";
      throw new LocalError("BAD_ARGUMENT", message);
    }
    const bytes = encoder.encode(checkText(text, this.#line));
    return await this.#outbox.write(bytes, options, this.#driver.up, this.#driver.pump);
  }

  /**
   * Sleeps like a board on a battery, to test a server: announces it, waits for at most 10 s until everything
   * written is acknowledged, and closes the client. After that time, create another client; with the same `memory`
   * it sends what is left. Until then, plus a margin, the server reports no outage.
   *
   * @param ms Duration, 1 to 2,147,483,000.
   * @returns whether the server knows it and has everything; always false in dialect 1, which cannot announce a sleep
   * @throws {LocalError} BAD_ARGUMENT; CLOSED; as `close`
   */
  async sleep(ms: number): Promise<boolean> {
    if (this.#closed) throw this.#closed;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#nap = { text: sleepText(ms), told: 0, done: resolve };
    const cancel = this.#platform.after(DRAIN, () => resolve(false));
    this.#driver.pump();
    const isTold = await promise;
    cancel();
    await this.close();
    return isTold;
  }

  /** Checks whether everything is sent before it sleeps. */
  #drain(): void {
    const nap = this.#nap;
    if (!nap || !this.#driver.up) return;
    if (this.#dialect === 2 && nap.told !== this.#core.connects) {
      nap.told = this.#core.connects;
      const pump = () => queueMicrotask(() => this.#closed || this.#driver.pump());
      // Without qos: it is useless on another link.
      this.#outbox.write(nap.text, { qos: false }, true, pump)
        .then((isSent) => isSent || (nap.told = 0), () => {});
    } else if (this.#outbox.length === 0) nap.done(this.#dialect === 2);
  }

  /** Called before every poll of the core. */
  #exchange(): void {
    this.#outbox.exchange(this.#driver.up);
    this.#drain();
    const timeout = this.#timeout;
    const late = this.#driver.up
      ? Math.max(this.#outbox.lateSince, this.#upAt) + timeout
      : Infinity;
    if (late < Infinity && this.#platform.now() >= late) {
      const message = `a message has no ack ${timeout} ms after its deadline`;
      this.#driver.end(new PeerError("LATE", message)); // the next greeting decides
    } else this.#setAlarm(Math.min(this.#outbox.expiry, late));
  }

  /** Everything due then is done before the next poll. */
  #setAlarm(at: number): void {
    if (at === this.#alarmAt) return;
    this.#cancelAlarm?.();
    this.#alarmAt = at;
    this.#cancelAlarm = undefined;
    if (at === Infinity) return;
    const wait = at - this.#platform.now();
    this.#cancelAlarm = this.#platform.after(Math.min(Math.max(0, wait), LONGEST_TIMER), () => {
      this.#alarmAt = Infinity;
      this.#driver.pump();
    });
  }

  #up(): void {
    this.#upAt = this.#platform.now();
    this.#outbox.linkUp();
    this.#readiness?.resolve();
    this.#readiness = undefined;
  }

  /** A message is handed out when the end of the previous one is safe. The core offers it until it is taken. */
  #mayHandOut(): boolean {
    return !this.#memory || this.#handout.isAt(this.#core.position) || !this.#hasProgress;
  }

  /** Whether more is processed than the memory knows. */
  get #hasProgress(): boolean {
    const { position: { epoch, next }, held } = this.#handout.progress(this.#core.position);
    const known = this.#progress;
    return known?.position.epoch !== epoch || known.position.next !== next || known.held !== held;
  }

  get #isDirty(): boolean {
    return this.#hasProgress || this.#outbox.isDirty;
  }

  /** Commits everything to the memory. @throws {LocalError} STORE_FAILED; callers that wait were told */
  #commit(): void {
    const progress = this.#handout.progress(this.#core.position);
    try {
      const time = Math.round(this.#platform.now() + this.#behind);
      const clock = { time, date: Math.round(this.#platform.date()) };
      this.#memory!.commit({ progress, clock, ...this.#outbox.change });
    } catch (cause) {
      const error = failure(cause);
      this.#outbox.failed(error);
      for (const reader of this.#readers.splice(0)) reader.reject(error);
      throw error;
    }
    this.#progress = progress;
    this.#outbox.committed();
  }

  /**
   * Ends the link. Calls that wait for a message, an ack or the link are rejected with CLOSED.
   *
   * @throws {LocalError} STORE_FAILED if the `memory` cannot keep the last progress or messages
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  // deno-lint-ignore require-await
  async #close(): Promise<void> {
    this.#closed = new LocalError("CLOSED", "the client was closed");
    this.#cancelAlarm?.();
    try {
      this.#driver.close();
    } finally {
      this.#nap?.done(false);
      this.#readiness?.reject(this.#closed);
      for (const reader of this.#readers) reader.reject(this.#closed);
      this.#outbox.close(this.#closed);
      this.#memory?.close();
    }
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The ms of a device on a host: the date's, so that they run on when its program restarts. 32 bits. */
function deviceMs(platform: Platform): number {
  return Math.floor(platform.date()) % 2 ** 32;
}

/** @throws {PeerError} BAD_UTF8 */
function decode(message: Uint8Array): string {
  try {
    return decoder.decode(message);
  } catch (cause) {
    throw new PeerError("BAD_UTF8", "a message is not UTF-8", { cause });
  }
}

/** How far the process's clock is behind the memory's, which runs on between processes. */
function behind(clock: KeptClock | undefined, platform: Platform): number {
  if (!clock) return 0;
  const away = platform.date() - clock.date; // if the date was set back, it says nothing
  return clock.time + Math.max(0, away) - platform.now();
}

function streamOf({ epoch, first }: KeptOutbox): TxStream {
  return { epoch, first: first % 2 ** 32 };
}

/** Turns anything that a memory throws into an error. */
function failure(cause: unknown): LocalError {
  if (cause instanceof LocalError) return cause;
  return new LocalError("STORE_FAILED", `the client's memory has failed: ${cause}`, { cause });
}
