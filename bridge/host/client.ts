import { LocalError, type PeerCode, PeerError } from "../../server/errors.ts";
import { checkText } from "../../server/wire.ts";
import { Can, Core, coreModule, type CoreSize, Event, pcSize, UP } from "./core.ts";
import { Socket } from "./socket.ts";

/** What a client must and can be told. */
export interface ClientOptions {
  /** This device's name at the server: 1 to 255 bytes of UTF-8 without control characters. */
  id: string;
  /** Name or address of the server. Default "127.0.0.1". */
  host?: string;
  /** TCP port of the server. Default 8123. */
  port?: number;
  /** Silence that is taken for an outage, in ms; the same at both ends. 100 to 3,600,000. Default 2000. */
  timeout?: number;
  /** The wire to speak; there is 1 (micropython-iot's) so far. Default 1. */
  dialect?: 1;
  /** Called when the link comes up, and when it is lost or could not be made: then with the reason. */
  onState?: (connected: boolean, reason?: PeerError) => void;
  /** Buffers. */
  size?: Partial<CoreSize>;
}

/** How a message is to be sent to the server. */
export interface ClientWriteOptions {
  /** Sent again until it is acknowledged. Without: sent at once if there is a link, or never. Default true. */
  qos?: boolean;
  /** Not sent before all earlier ones are acknowledged. Default true. */
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

const MESSAGES: Partial<Record<PeerCode, string>> = {
  NO_ANSWER: "the server did not accept the connection in time",
  NO_GREETING: "the server accepted the connection, but sent nothing",
  SILENT: "nothing was heard from the server for the timeout",
  STALLED: "the server took nothing from its socket for the timeout",
  LINE_TOO_LONG: "the server sent a line longer than `size.line`",
  BAD_LINE: "the server sent a line that starts with no id",
};

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A link to a server. It connects by itself, and again after every outage, until it is closed. */
export class Client implements AsyncIterable<string>, AsyncDisposable {
  #core: Core;
  #address: { hostname: string; port: number };
  #onState: NonNullable<ClientOptions["onState"]>;
  #line: number;
  #socket: Socket | undefined;
  #readers: PromiseWithResolvers<string>[] = [];
  #waiting: Writer[] = []; // not yet in the core
  #sent: (Writer | undefined)[] = []; // in the core's outbox; undefined: nobody waits for it
  #settled = 0; // how many of those that the core accepted are done
  #readiness: PromiseWithResolvers<void> | undefined;
  #up = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed: LocalError | undefined;
  #timerDue = 0;
  #pumping = false;

  /** @throws {LocalError} BAD_ARGUMENT; NOT_BUILT if the core was never compiled */
  constructor(options: ClientOptions) {
    const { id, host = "127.0.0.1", port = 8123, timeout = 2000, dialect = 1 } = options;
    const hello = new TextEncoder().encode(`${id}\n`);
    // deno-lint-ignore no-control-regex
    if (hello.length < 2 || hello.length > 256 || /[\x00-\x1f\x7f]/.test(id)) {
      throw badArgument(
        `id must be 1 to 255 bytes without control characters, not ${JSON.stringify(id)}`,
      );
    }
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw badArgument(`port must be 1 to 65535, not ${port}`);
    }
    if (!Number.isInteger(timeout) || timeout < 100 || timeout > 3_600_000) {
      throw badArgument(`timeout must be 100 to 3600000 ms, not ${timeout}`);
    }
    if (dialect !== 1) throw badArgument(`dialect must be 1, not ${dialect}`);
    this.#address = { hostname: host, port };
    this.#onState = options.onState ?? (() => {});
    const size = { ...pcSize, ...options.size };
    this.#line = size.line;
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const instance = new WebAssembly.Instance(coreModule());
    this.#core = new Core(instance, hello, { ...size, timeout, seed }, now());
    this.#pump();
  }

  /** Whether the link is up at present. */
  get connected(): boolean {
    return this.#up;
  }

  /** How often the link came up. */
  get connects(): number {
    return this.#core.connects;
  }

  /** Resolves when the link is up. @throws {LocalError} CLOSED */
  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#up) return Promise.resolve();
    return (this.#readiness ??= Promise.withResolvers()).promise;
  }

  /**
   * The next message, without the newline at its end. It is acknowledged when it is handed out here, so
   * a server that sends faster than this is called is slowed down.
   *
   * @throws {LocalError} CLOSED
   */
  readline(): Promise<string> {
    if (this.#closed) return Promise.reject(this.#closed);
    const reader = Promise.withResolvers<string>();
    this.#readers.push(reader);
    this.#pump();
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
   * @throws {LocalError} BAD_TEXT; OUTBOX_FULL if 1,024 writes wait already; CLOSED
   */
  async write(text: string, options: ClientWriteOptions = {}): Promise<boolean> {
    const { qos = true, wait = true, signal } = options;
    if (this.#closed) throw this.#closed;
    signal?.throwIfAborted();
    const bytes = new TextEncoder().encode(checkText(text, this.#line));
    if (!qos) {
      const accepted = this.#waiting.length === 0 && this.#core.write(bytes, false);
      if (accepted) this.#sent.push(undefined);
      this.#pump();
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
    };
    signal?.addEventListener("abort", abort);
    this.#pump();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Lets the core do all that can be done now. */
  #pump = (): void => {
    if (this.#pumping || this.#closed) return; // a callback below may well write
    this.#pumping = true;
    try {
      while (this.#step() && !this.#closed);
    } finally {
      this.#pumping = false;
    }
    if (!this.#closed) this.#setTimer();
  };

  /** Carries out what the core asks for; false once that is nothing. */
  #step(): boolean {
    const core = this.#core;
    this.#feed();
    const can = (this.#socket?.canSend ? Can.send : 0) | (this.#readers.length ? Can.receive : 0);
    const event = core.poll(now(), can);
    switch (event) {
      case Event.connect:
        this.#connect();
        break;
      case Event.close:
        this.#drop(new PeerError(core.reason, MESSAGES[core.reason] ?? core.reason));
        break;
      case Event.send:
        this.#socket!.send(core.piece);
        break;
      case Event.message:
        this.#handOut(core.piece);
        break;
    }
    this.#settle();
    this.#showState();
    if (event !== Event.none) return true;
    this.#socket?.flush();
    return this.#socket?.moveInput(core, now()) ?? false;
  }

  /** Moves messages into the core as their turn comes. */
  #feed(): void {
    const core = this.#core;
    while (this.#waiting.length > 0) {
      const writer = this.#waiting[0]!;
      if (writer.wait && core.queued !== core.done) break;
      if (!core.write(writer.text, true)) break;
      this.#sent.push(this.#waiting.shift());
    }
  }

  #settle(): void {
    for (; this.#settled !== this.#core.done; this.#settled = this.#settled + 1 >>> 0) {
      this.#sent.shift()?.done();
    }
  }

  #showState(): void {
    const up = this.#core.state === UP;
    if (up === this.#up || !up) return;
    this.#up = true;
    this.#readiness?.resolve();
    this.#readiness = undefined;
    this.#onState(true);
  }

  #handOut(bytes: Uint8Array): void {
    let text;
    try {
      text = decoder.decode(bytes);
    } catch (cause) {
      this.#core.closed(now());
      this.#drop(new PeerError("BAD_UTF8", "a message is not UTF-8", { cause }));
      return;
    }
    this.#core.take();
    this.#readers.shift()!.resolve(text);
  }

  #connect(): void {
    const socket = this.#socket = new Socket(this.#address, {
      opened: () => {
        this.#core.opened(now());
        this.#pump();
      },
      wake: this.#pump,
      ended: (reason) => {
        if (socket !== this.#socket) return; // the core gave it up before
        this.#core.closed(now());
        this.#drop(reason);
        this.#pump();
      },
    });
  }

  #drop(reason: PeerError): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#up = false;
    this.#onState(false, reason);
  }

  #setTimer(): void {
    const due = now() + this.#core.wait;
    if (this.#timer !== undefined && this.#timerDue <= due) return; // it looks again then
    clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, Math.max(0, due - now()));
  }

  /** Ends the link. Whoever waits for a message, an ack or the link is rejected with CLOSED. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = new LocalError("CLOSED", "the client was closed");
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket?.close();
    this.#socket = undefined;
    this.#up = false;
    this.#readiness?.reject(this.#closed);
    for (const reader of this.#readers) reader.reject(this.#closed);
    for (const writer of [...this.#sent, ...this.#waiting]) writer?.fail(this.#closed);
    await socket?.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function now(): number {
  return Math.floor(performance.now());
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
