import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import { checkText } from "../../server/protocol/lines.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Platform } from "../../server/transport/platform.ts";
import { type Core, coreModule, type CoreSize, pcSize, type Position } from "./core.ts";
import { ClientDriver } from "./driver.ts";
import { Handout } from "./handout.ts";
import { type ClientMemory, PositionFile } from "./memory.ts";
import type { ConnectionOptions } from "./options.ts";

/** What a client must and can be told. */
export interface ClientOptions extends ConnectionOptions {
  /**
   * What keeps how far this client has got, so that a restarted process takes each message once: the name of
   * a file, or a memory of your own, which is closed with the client. With it, a message counts as processed, and
   * is acknowledged, when the next one is asked for. Dialect 2.
   * Default: none; a message counts as processed when it is handed out.
   */
  memory?: string | ClientMemory;
  /** Buffers. */
  size?: Partial<CoreSize>;
}

/** How a message is to be sent to the server. */
export interface ClientWriteOptions {
  /** Sent again until it is acknowledged. Without: sent at once if there is a link, or never. Default true. */
  qos?: boolean;
  /** In dialect 1, not sent before all earlier ones are acknowledged. Dialect 2 keeps the order without
   * waiting. Default true. */
  wait?: boolean;
  /** Stops waiting. A message that is on its way already may still be delivered. */
  signal?: AbortSignal;
}

interface Writer {
  text: Uint8Array;
  wait: boolean;
  done: () => void;
  fail: (reason: unknown) => void;
}

/** Most writes that wait for room in the core's outbox. */
const MOST_WRITERS = 1024;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A link to a server. It connects by itself, and again after every outage, until it is closed. */
export class Client implements AsyncIterable<string>, AsyncDisposable {
  #driver: ClientDriver;
  #memory: ClientMemory | undefined;
  #handout: Handout;
  #waits: boolean;
  #core: Core;
  #line: number;
  #readers: PromiseWithResolvers<string>[] = [];
  #waiting: Writer[] = []; // not yet in the core
  #sent: (Writer | undefined)[] = []; // in the core's outbox; undefined: nobody waits for it
  #settled = 0; // how many of those that the core accepted are done
  #readiness: PromiseWithResolvers<void> | undefined;
  #closed: LocalError | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Begins to connect.
   *
   * @param platform Clock and network. Default: those of this machine.
   * @throws {LocalError} BAD_ARGUMENT; NOT_BUILT if the core was never compiled
   */
  constructor(options: ClientOptions, platform: Platform = nodePlatform) {
    const size = { ...pcSize, ...options.size };
    this.#line = size.line;
    const owner = {
      exchange: () => this.#exchange(),
      canReceive: () => this.#readers.length > 0,
      receive: (message: Uint8Array) => {
        const text = decode(message);
        if (this.#memory && this.#handout.offered(this.#core.position, text)) return true;
        this.#readers.shift()!.resolve(text);
        return this.#memory === undefined;
      },
      positionChanged: (position: Position) => this.#memory?.keep({ position, processed: 0n }),
      stateChanged: (connected: boolean, reason?: PeerError) => {
        if (connected) this.#up();
        options.onState?.(connected, reason);
      },
    };
    this.#waits = options.dialect === 1;
    if (options.memory !== undefined) {
      if (this.#waits) throw new LocalError("BAD_ARGUMENT", "dialect 1 has no use for a memory");
      const { memory } = options;
      this.#memory = typeof memory === "string" ? new PositionFile(memory) : memory;
    }
    const kept = this.#memory?.kept;
    const position = kept?.position;
    this.#handout = new Handout(kept);
    try {
      const boot = { ...options, position };
      this.#driver = new ClientDriver(owner, coreModule(), {}, boot, size, platform);
    } catch (error) {
      if (typeof options.memory === "string") this.#memory?.close();
      throw error;
    }
    this.#core = this.#driver.core;
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

  /** Resolves when the link is up. @throws {LocalError} CLOSED */
  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#driver.up) return Promise.resolve();
    return (this.#readiness ??= Promise.withResolvers()).promise;
  }

  /**
   * The next message, without the newline at its end. A server that sends faster than this is called is
   * slowed down.
   *
   * With `memory`, to ask for a message says that the one before it has been processed: only then is that
   * acknowledged. If the process ends before it has asked, also by `close`, the next process is handed the
   * message again. Who asks for several at once says so in advance.
   *
   * @throws {LocalError} CLOSED
   */
  readline(): Promise<string> {
    if (this.#closed) return Promise.reject(this.#closed);
    const done = this.#memory && this.#handout.asked(this.#core.position);
    // At once: without a link, nobody will be told for a while.
    if (done) this.#memory!.keep(done);
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
   * Sends a message. Through an outage it waits.
   *
   * @param text One line of well-formed Unicode, not empty. A newline at its end may be there or not.
   * @returns true once the server has acknowledged it; without qos, true if it was handed to the network
   * and false if there is no link, or no room in the outbox
   * @throws {LocalError} BAD_TEXT, also when a server comes back that takes shorter lines; OUTBOX_FULL if 1,024 writes wait already; CLOSED
   */
  async write(text: string, options: ClientWriteOptions = {}): Promise<boolean> {
    const { qos = true, wait = true, signal } = options;
    if (this.#closed) throw this.#closed;
    signal?.throwIfAborted();
    const bytes = new TextEncoder().encode(checkText(text, this.#line));
    if (!qos) {
      const accepted = this.#core.write(bytes, false);
      if (accepted) this.#sent.push(undefined);
      this.#driver.pump();
      return accepted;
    }
    if (this.#waiting.length >= MOST_WRITERS) {
      throw new LocalError("OUTBOX_FULL", `${MOST_WRITERS} writes wait already: await them`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const writer = { text: bytes, wait, done: () => resolve(true), fail: reject };
    this.#waiting.push(writer);
    const abort = () => {
      this.#waiting = this.#waiting.filter((other) => other !== writer);
      reject(signal!.reason);
      this.#driver.pump(); // it may have held up others
    };
    signal?.addEventListener("abort", abort);
    this.#driver.pump();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  #up(): void {
    this.#settle();
    // A server that has come back with shorter lines: the core has withdrawn what does not fit them.
    for (const [i, writer] of this.#sent.entries()) {
      if (!writer || writer.text.length <= this.#core.longest) continue;
      this.#sent[i] = undefined;
      this.#refuse(writer);
    }
    this.#readiness?.resolve();
    this.#readiness = undefined;
  }

  #refuse(writer: Writer): void {
    writer.fail(new LocalError("BAD_TEXT", `the server takes ${this.#core.longest} bytes at most`));
  }

  /** Tells the writers whose messages have arrived. */
  #settle(): void {
    const core = this.#core;
    for (; this.#settled !== core.done; this.#settled = this.#settled + 1 >>> 0) {
      this.#sent.shift()?.done();
    }
  }

  /** Moves messages into the core as their turn comes. */
  #exchange(): void {
    const core = this.#core;
    this.#settle();
    // How long a text may be is for the server to say, in its first greeting of dialect 2.
    if (!this.#waits && core.connects === 0) return;
    while (this.#waiting.length > 0) {
      const writer = this.#waiting[0]!;
      if (this.#waits && writer.wait && core.queued !== core.done) break;
      // Without a link, it may not have been the server who said so.
      if (writer.text.length > core.longest && this.#driver.up) {
        this.#waiting.shift();
        this.#refuse(writer);
        continue;
      }
      if (!core.write(writer.text, true)) break;
      this.#sent.push(this.#waiting.shift());
    }
  }

  /** Ends the link. Whoever waits for a message, an ack or the link is rejected with CLOSED. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  #close(): Promise<void> {
    this.#closed = new LocalError("CLOSED", "the client was closed");
    this.#readiness?.reject(this.#closed);
    for (const reader of this.#readers) reader.reject(this.#closed);
    for (const writer of [...this.#sent, ...this.#waiting]) writer?.fail(this.#closed);
    this.#driver.close();
    this.#memory?.close();
    return Promise.resolve();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** @throws {PeerError} BAD_UTF8 */
function decode(message: Uint8Array): string {
  try {
    return decoder.decode(message);
  } catch (cause) {
    throw new PeerError("BAD_UTF8", "a message is not UTF-8", { cause });
  }
}
