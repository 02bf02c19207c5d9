import type { Admitted } from "./admission/admission.ts";
import type { Connection } from "./runtime/connection.ts";
import { LocalError, type PeerError } from "./protocol/errors.ts";
import type { Session, WriteOptions } from "./link/session.ts";
import { Effects } from "./store/effects.ts";
import type { Transaction } from "./store/store.ts";
import type { Turn } from "./runtime/turn.ts";

/** How a message is to be sent to a device. */
export interface DeviceWriteOptions extends WriteOptions {
  /** Stops waiting. The message may still be delivered: it was accepted. */
  signal?: AbortSignal;
}

/** Who waits for a message. */
interface Reader {
  resolve(text: string): void;
  reject(reason: LocalError): void;
  /** By `consume`: asking for the next message does not say that this one was processed. */
  consumes: boolean;
}

/** The server's side of the link to one device. It stays the same object over all connections. */
export class Device implements AsyncIterable<string> {
  #session: Session;
  #turn: Turn;
  #now: () => number;
  #connection: Connection | undefined;
  #readers: Reader[] = [];
  #writers = new Set<PromiseWithResolvers<boolean>>();
  #handedOut = false;
  #consuming = false;
  #metadata = "";
  #closed: LocalError | undefined;

  /** For `Server` alone. */
  constructor(readonly id: string, session: Session, turn: Turn, now: () => number) {
    this.#session = session;
    this.#turn = turn;
    this.#now = now;
  }

  /** Whether there is a connection at present. */
  get connected(): boolean {
    return this.#session.connected;
  }

  /** How often the device has connected. */
  get connects(): number {
    return this.#session.record.positions.connects;
  }

  /** What the device said about itself when it connected last, `key=value` pairs with a space between them;
   * "" if nothing. Dialect 2. */
  get metadata(): string {
    return this.#metadata;
  }

  /**
   * The next message, as soon as there is one; without the newline at its end. Asking for it says that
   * the one before has been processed.
   *
   * @throws {LocalError} CLOSED
   */
  readline(): Promise<string> {
    return this.#take(false);
  }

  #take(consumes: boolean): Promise<string> {
    if (this.#closed) return Promise.reject(this.#closed);
    const text = this.#readers.length === 0 ? this.#next(consumes) : undefined;
    if (text !== undefined) return Promise.resolve(text);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#readers.push({ resolve, reject, consumes });
    return promise;
  }

  /**
   * Processes the next message such that its effects and the fact that it is done become safe in one
   * step. Other readers of this device wait meanwhile.
   *
   * ```ts
   * import type { Device, Transaction } from "@holdfast/holdfast";
   *
   * async function app(device: Device) {
   *   const store = (line: string, tx: Transaction) => {
   *     tx.run("CREATE TABLE IF NOT EXISTS readings (device TEXT, value REAL)");
   *     tx.run("INSERT INTO readings VALUES (?, ?)", device.id, Number(line));
   *   };
   *   for (;;) await device.consume(store);
   * }
   * ```
   *
   * @param use Given the message, and `tx` for the store's database; without effects it works with every
   * store. The link can be used in it, but to ask for a further message here would wait for ever.
   * @returns when it is safe; while the store fails, that takes until it works again
   * @throws what `use` throws, or SQLite's error if a statement has failed: nothing has happened then, and
   * the message is the next one again
   * @throws {LocalError} BAD_ARGUMENT, see `Transaction`; CLOSED
   */
  async consume(use: (line: string, tx: Transaction) => Promise<void> | void): Promise<void> {
    const line = await this.#take(true);
    const { database } = this.#turn.store;
    const effects = new Effects(database);
    try {
      if (this.#closed) throw this.#closed;
      await use(line, effects);
      if (this.#closed) throw this.#closed;
      const safe = database?.consume(this.#session.record, effects.end());
      if (safe) {
        this.#changed();
        await safe;
      }
      this.#session.shift();
      if (!this.#closed) this.#changed();
      if (!safe) await this.#turn.settled();
    } finally {
      effects.end();
      this.#consuming = false;
      this.#deliver();
    }
  }

  /** All messages, until the server is closed. */
  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return {
      next: () =>
        this.readline().then(
          (value) => ({ value }),
          () => ({ done: true, value: undefined }), // CLOSED: nothing else is thrown
        ),
    };
  }

  /**
   * Sends a message. Through an outage it waits.
   *
   * @param text One line of well-formed Unicode, not empty. A newline at its end may be there or not.
   * @returns true once the device has acknowledged it; without qos, true if it was handed to the network
   * and false if there is no link, or one on which nothing is taken or acknowledged
   * @throws {LocalError} BAD_TEXT; OUTBOX_FULL; STORE_FAILED while nothing can be made safe; CLOSED (a
   * message accepted before stays in the store)
   */
  async write(text: string, { signal, ...options }: DeviceWriteOptions = {}): Promise<boolean> {
    if (this.#closed) throw this.#closed;
    if (this.#turn.failure) throw this.#turn.failure;
    signal?.throwIfAborted();
    const writer = Promise.withResolvers<boolean>();
    const told = { arrived: () => writer.resolve(true), failed: writer.reject };
    const accepted = this.#session.write(text, options, told, this.#now());
    this.#changed();
    if (!accepted || options.qos === false) return accepted;
    const abort = () => writer.reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    this.#writers.add(writer);
    try {
      return await writer.promise;
    } finally {
      this.#writers.delete(writer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Hands messages to those who wait for one. */
  #deliver(): void {
    while (this.#readers.length > 0) {
      const text = this.#next(this.#readers[0]!.consumes);
      if (text === undefined) return;
      this.#readers.shift()!.resolve(text);
    }
  }

  /** Takes the next message, if there is one; the one before has been processed. */
  #next(consumes: boolean): string | undefined {
    if (this.#consuming) return undefined;
    if (this.#handedOut) {
      this.#session.shift();
      this.#changed();
    }
    const text = this.#session.peek();
    this.#handedOut = text !== undefined && !consumes;
    this.#consuming = text !== undefined && consumes;
    return text;
  }

  readonly #changed = (): void => this.#turn.touch(this.#safe);

  /** All changes so far are safe, or cannot be made so at present. */
  readonly #safe = (safe: boolean): void => {
    this.#connection?.flush(safe); // before the application goes on: what that changes is not safe yet
    if (safe) this.#deliver();
  };

  /**
   * Serves a connection that was admitted for this device; the newest wins. For `Server` alone.
   *
   * @returns why it ended, or undefined if a newer one took its place
   */
  async serve(connection: Connection, admitted: Admitted): Promise<PeerError | undefined> {
    this.#connection?.close();
    this.#session.disconnect();
    this.#connection = connection;
    this.#metadata = admitted.metadata;
    admitted.connect(this.#session, this.#now());
    const reason = await connection.serve(this.#session, this.#changed);
    if (this.#connection !== connection) return undefined;
    this.#connection = undefined;
    this.#session.disconnect();
    this.#changed();
    return reason;
  }

  /** For `Server` alone: ends the connection, if there is one. */
  cut(reason: PeerError): void {
    this.#connection?.close(reason);
  }

  /** For `Server` alone: whoever waits is told. */
  close(reason: LocalError): void {
    this.#closed = reason;
    this.#connection?.close();
    for (const waiting of [...this.#readers.splice(0), ...this.#writers]) waiting.reject(reason);
  }
}
