import type { Connection } from "./connection.ts";
import { LocalError, type PeerError } from "./errors.ts";
import type { Session, WriteOptions } from "./session.ts";

/** How a message is to be sent to a device. */
export interface DeviceWriteOptions extends WriteOptions {
  /** Stops waiting. The message may still be delivered: it was accepted. */
  signal?: AbortSignal;
}

/** The server's side of the link to one device. It stays the same object over all connections. */
export class Device implements AsyncIterable<string> {
  #session: Session;
  #now: () => number;
  #connection: Connection | undefined;
  #readers: PromiseWithResolvers<string>[] = [];
  #writers = new Set<PromiseWithResolvers<boolean>>();
  #handedOut = false;
  #flushDue = false;
  #closed: LocalError | undefined;

  /** For `Server` alone. */
  constructor(readonly id: string, session: Session, now: () => number) {
    this.#session = session;
    this.#now = now;
  }

  /** Whether there is a connection at present. */
  get connected(): boolean {
    return this.#session.connected;
  }

  /** How often the device has connected. */
  get connects(): number {
    return this.#session.record.connects;
  }

  /**
   * The next message, as soon as there is one; without the newline at its end. Asking for it says that
   * the one before has been processed.
   *
   * @throws {LocalError} CLOSED
   */
  readline(): Promise<string> {
    if (this.#closed) return Promise.reject(this.#closed);
    const text = this.#readers.length === 0 ? this.#next() : undefined;
    if (text !== undefined) return Promise.resolve(text);
    const reader = Promise.withResolvers<string>();
    this.#readers.push(reader);
    return reader.promise;
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
   * @throws {LocalError} BAD_TEXT, OUTBOX_FULL, CLOSED (a message accepted before stays in the store)
   */
  async write(text: string, { signal, ...options }: DeviceWriteOptions = {}): Promise<boolean> {
    if (this.#closed) throw this.#closed;
    signal?.throwIfAborted();
    const writer = Promise.withResolvers<boolean>();
    const accepted = this.#session.write(text, options, () => writer.resolve(true));
    this.#flushSoon();
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
      const text = this.#next();
      if (text === undefined) return;
      this.#readers.shift()!.resolve(text);
    }
  }

  /** Takes the next message, if there is one; the one before has been processed. */
  #next(): string | undefined {
    if (this.#handedOut) {
      this.#session.shift();
      if (this.#session.crowded) this.#flushSoon();
    }
    const text = this.#session.peek();
    this.#handedOut = text !== undefined;
    return text;
  }

  /** Acks and messages that one turn of the event loop brings about go out together. */
  #flushSoon(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    queueMicrotask(() => {
      this.#flushDue = false;
      this.#connection?.flush();
    });
  }

  /**
   * Serves a connection that has said hello for this device; the newest wins. For `Server` alone.
   *
   * @returns why it ended, or undefined if a newer one took its place
   */
  async serve(connection: Connection, rest: Uint8Array): Promise<PeerError | undefined> {
    this.#connection?.close();
    this.#connection = connection;
    this.#session.connect(this.#now());
    const reason = await connection.serve(this.#session, rest, () => this.#deliver());
    if (this.#connection !== connection) return undefined;
    this.#connection = undefined;
    this.#session.disconnect();
    return reason;
  }

  /** For `Server` alone: whoever waits is told. */
  close(reason: LocalError): void {
    this.#closed = reason;
    this.#connection?.close();
    for (const waiting of [...this.#readers.splice(0), ...this.#writers]) waiting.reject(reason);
  }
}
