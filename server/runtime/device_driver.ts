import type { Admitted } from "../admission/admission.ts";
import type { Cleared, MessageCounts, Session, WriteOptions, Writer } from "../link/session.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Clock } from "../transport/platform.ts";
import type { Connection } from "./connection.ts";
import { Serving, type ServingOwner } from "./serving.ts";
import type { Transfer, Turn } from "./turn.ts";

/** Who waits for a message. */
interface Reader {
  resolve(text: string): void;
  reject(reason: LocalError): void;
  /** By `consume`: asking for the next message does not say that this one was processed. */
  consumes: boolean;
}

/** A message with qos on its way to the device, and who waits for it. */
class PendingWrite implements Writer {
  readonly #promise = Promise.withResolvers<boolean>();
  readonly #over: (write: PendingWrite) => void;

  /** @param over Told when nobody waits for it any more. */
  constructor(over: (write: PendingWrite) => void) {
    this.#over = over;
  }

  get promise(): Promise<boolean> {
    return this.#promise.promise;
  }

  arrived(): void {
    this.settle(true);
  }

  failed(error: unknown): void {
    this.#over(this);
    this.#promise.reject(error);
  }

  settle(value: boolean): void {
    this.#over(this);
    this.#promise.resolve(value);
  }
}

/** What the drivers of all devices of a server share. */
export interface DeviceHost {
  readonly turn: Turn;
  readonly clock: Clock;
  /** Runs an application's transaction. It takes the oldest message out of this device's inbox, unless it is left out. */
  transact(use: (tx: Transaction) => Promise<void> | void, consumer?: DeviceDriver): Promise<void>;
  /** A connection has ended, and no newer one has taken its place. */
  disconnected(device: DeviceDriver, address: string, reason: PeerError): void;
  /** Messages of the device were counted. */
  moved(device: DeviceDriver): void;
}

/**
 * What `Device` is: one device's session over all its connections, driven by what its connections and its
 * application do. The session changes only while no commit is under way, and each change is followed by `touch`.
 */
export class DeviceDriver implements AsyncIterable<string>, ServingOwner {
  readonly session: Session;
  readonly #ledger: Ledger;
  readonly #host: DeviceHost;
  #serving: Serving | undefined;
  #readers: Reader[] = [];
  #writes: Set<PendingWrite> | undefined;
  #clears: Set<PromiseWithResolvers<Cleared>> | undefined; // those that are not safe yet, too
  #toClear = false;
  #handedOut = false;
  #consuming = false;
  #metadata = "";
  #since: number;
  #counted = 0;
  #closed: LocalError | undefined;

  constructor(ledger: Ledger, session: Session, host: DeviceHost) {
    this.session = session;
    this.#ledger = ledger;
    this.#host = host;
    this.#since = host.clock.date();
  }

  get id(): string {
    return this.#ledger.id;
  }

  get turn(): Turn {
    return this.#host.turn;
  }

  get clock(): Clock {
    return this.#host.clock;
  }

  get connected(): boolean {
    return this.session.connected;
  }

  get since(): Date {
    return new Date(this.#since);
  }

  get connects(): number {
    return this.session.record.positions.connects;
  }

  get metadata(): string {
    return this.#metadata;
  }

  get inbox(): number {
    return this.session.record.inbox.length;
  }

  get outbox(): number {
    return this.session.record.outbox.length;
  }

  /** Whether nothing is lost if it is forgotten, but where both ends are. */
  get isIdle(): boolean {
    return !this.connected && this.session.isIdle;
  }

  /** Why nothing more is accepted, if that is so. */
  get closed(): LocalError | undefined {
    return this.#closed;
  }

  get counts(): Readonly<MessageCounts> {
    return this.session.counts;
  }

  readline(): Promise<string> {
    return this.#take(false);
  }

  #take(consumes: boolean): Promise<string> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (!this.turn.busy && this.#readers.length === 0) {
      const text = this.#next(consumes);
      if (text !== undefined) return Promise.resolve(text);
    }
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const reader = { resolve, reject, consumes };
    if (this.#readers.length === 0) this.#readers = [reader]; // room for one, not for 17
    else this.#readers.push(reader);
    if (this.turn.busy) this.turn.enter(this.#deliver);
    return promise;
  }

  async consume(use: (line: string, tx: Transaction) => Promise<void> | void): Promise<void> {
    const line = await this.#take(true);
    try {
      await this.#host.transact((tx) => use(line, tx), this);
    } finally {
      this.#consuming = false;
      this.turn.enter(this.#deliver);
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return {
      next: () =>
        this.readline().then(
          (value) => ({ value }),
          () => ({ done: true, value: undefined }), // CLOSED: nothing else is thrown
        ),
    };
  }

  async write(
    text: string,
    { signal, ...options }: WriteOptions & { signal?: AbortSignal } = {},
  ): Promise<boolean> {
    signal?.throwIfAborted();
    const write = new PendingWrite(this.#forget);
    (this.#writes ??= new Set()).add(write);
    const abort = () => write.failed(signal!.reason);
    signal?.addEventListener("abort", abort);
    if (this.turn.busy) this.turn.enter(() => this.#begin(text, options, write));
    else this.#begin(text, options, write);
    try {
      return await write.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  readonly #forget = (write: PendingWrite): void => void this.#writes?.delete(write);

  #begin(text: string, options: WriteOptions, write: PendingWrite): void {
    if (!this.#writes?.has(write)) return; // given up meanwhile
    try {
      if (this.#closed) throw this.#closed;
      if (this.turn.failure) throw this.turn.failure;
      const accepted = this.session.write(text, options, write, this.clock.now());
      this.touch();
      if (!accepted || options.qos === false) write.settle(accepted);
    } catch (error) {
      write.failed(error);
    }
  }

  clear(): Promise<Cleared> {
    if (this.#closed) return Promise.reject(this.#closed);
    const clear = Promise.withResolvers<Cleared>();
    (this.#clears ??= new Set()).add(clear);
    this.#toClear = true;
    this.turn.enter(this.#clear);
    return clear.promise;
  }

  /** Drops all that waits, unless `consume` has the oldest message in its hands: then afterwards. */
  readonly #clear = (): void => {
    if (this.#consuming || !this.#toClear) return;
    this.#toClear = false;
    // What was sent cannot be dropped while its ack may come.
    if (this.inbox + this.outbox > 0) this.cut(new PeerError("LOST", "its messages were dropped"));
    this.#handedOut = false;
    const cleared = this.session.clear(new LocalError("CLEARED", "the message was dropped"));
    this.touch();
    const clears = this.#clears!;
    for (const clear of clears) {
      this.turn.whenSafe(() => clears.delete(clear) && clear.resolve(cleared));
    }
  };

  /** Hands messages to those who wait for one. */
  readonly #deliver = (): void => {
    this.#clear();
    while (this.#readers.length > 0) {
      const text = this.#next(this.#readers[0]!.consumes);
      if (text === undefined) return;
      this.#readers.shift()!.resolve(text);
    }
  };

  /** Takes the next message, if there is one; the one before has been processed. */
  #next(consumes: boolean): string | undefined {
    if (this.#consuming) return undefined;
    if (this.#handedOut) {
      this.session.shift();
      this.touch();
    }
    const text = this.session.peek();
    this.#handedOut = text !== undefined && !consumes;
    this.#consuming = text !== undefined && consumes;
    return text;
  }

  readonly touch = (): void => {
    this.turn.touch(this.#out);
  };

  /** All changes so far are safe, or cannot be made so at present. */
  readonly #out = (safe: boolean): void => {
    this.#serving?.flush(safe); // before the application goes on: what that changes is not safe yet
    if (safe) this.#deliver();
    const { received, processed, written, delivered } = this.session.counts;
    const counted = received + processed + written + delivered;
    if (counted !== this.#counted) this.#host.moved(this);
    this.#counted = counted;
  };

  get isSafe(): boolean {
    return !this.turn.awaits(this.#out) && !this.turn.changed.has(this.#ledger);
  }

  /**
   * Serves a connection that was admitted for this device; the newest wins.
   *
   * @param ahead What was read behind the greeting.
   */
  serve(connection: Connection, admitted: Admitted, ahead: Uint8Array): void {
    this.#serving?.drop();
    this.session.disconnect();
    this.#metadata = admitted.metadata;
    this.#since = this.clock.date();
    admitted.connect(this.session, this.clock.now());
    this.#serving = new Serving(connection, this);
    this.#serving.begin(ahead);
  }

  ended(serving: Serving, reason: PeerError): void {
    if (this.#serving !== serving) return;
    this.#serving = undefined;
    this.session.disconnect();
    this.#since = this.clock.date();
    this.touch();
    this.#host.disconnected(this, serving.address, reason);
  }

  /** Takes the device out of the store. What happens to it then is up to the transfer's owner. */
  forgetting(transfer: Pick<Transfer, "done" | "failed"> & { check?(): void }): Transfer {
    const ledger = this.#ledger;
    return {
      statements: [],
      changes: (id) => id === ledger.id,
      apply() {
        transfer.check?.();
        ledger.remove();
      },
      undo: () => ledger.keep(),
      done: () => transfer.done(),
      failed: (error) => transfer.failed(error),
    };
  }

  /** Ends the connection without a word to anybody: the device is not this server's any more. */
  drop(): void {
    this.#serving?.drop();
    this.#serving = undefined;
  }

  /** Ends the connection, if there is one. */
  cut(reason: PeerError): void {
    this.#serving?.cut(reason);
  }

  /** Whoever waits is told. */
  close(reason: LocalError): void {
    this.#closed = reason;
    for (const reader of this.#readers.splice(0)) reader.reject(reason);
    for (const clear of this.#clears ?? []) clear.reject(reason);
    for (const write of [...this.#writes ?? []]) write.failed(reason);
  }
}
