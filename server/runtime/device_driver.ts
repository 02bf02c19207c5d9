import type { Admitted } from "../admission/admission.ts";
import type { Deploy, DeployOptions } from "../firmware/deploy.ts";
import type { DeadLetter } from "../link/record.ts";
import { removeDeadLetter } from "../link/dead_letters.ts";
import type { MessageCounts } from "../link/counts.ts";
import { asleepUntil } from "../link/nap.ts";
import type { WriteOptions } from "../link/outbox.ts";
import type { Cleared, Session } from "../link/session.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { formatRefusal, Refusal } from "../protocol/greeting.ts";
import type { RunningApp } from "../protocol/firmware_lines.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Transaction } from "../store/transaction.ts";
import { type Clock, LONGEST_TIMER } from "../transport/platform.ts";
import type { Application, AppState } from "./application.ts";
import type { Connection } from "./connection.ts";
import type { Above, DeviceHost } from "./device_host.ts";
import { type MessageListener, MessageWatch } from "./message_watch.ts";
import { dismiss, type Pace } from "./pace.ts";
import { Readers, type ReadersOwner } from "./readers.ts";
import { PendingWrite } from "./pending_write.ts";
import { caller, paceOf } from "./run.ts";
import { Serving, type ServingOwner } from "./serving.ts";
import type { Turn } from "./turn.ts";

const asResult = (value: string) => ({ value });
/** The only error is CLOSED. */
const atEnd = () => ({ done: true as const, value: undefined });

/**
 * Implements `Device`: one device's session over all its connections, driven by its connections and its
 * application. The session changes only while no commit is under way, and `touch` follows each change.
 */
export class DeviceDriver implements AsyncIterable<string>, ServingOwner, ReadersOwner {
  readonly session: Session;
  /** Its application. */
  application: Application<DeviceDriver> | undefined;
  above: Above | undefined;
  readonly #host: DeviceHost<DeviceDriver>;
  farewell = "";
  #serving: Serving | undefined;
  readonly #readers = new Readers(this);
  #writes: Set<PendingWrite> | undefined;
  #readiness: PromiseWithResolvers<void> | undefined;
  #isFull = false; // whether the inbox is full, and that was reported
  #clears: Set<PromiseWithResolvers<Cleared>> | undefined; // calls of `clear`, until they are safe
  #disposals: Set<PromiseWithResolvers<void>> | undefined; // acts on dead letters, until they are safe
  #toClear = false;
  #alsoCleared: ((dropped: Cleared) => void)[] | undefined;
  #watches: Set<MessageWatch> | undefined;
  #isLost = false; // whether another server has it
  #metadata = "";
  #since: number;
  #counted = 0;
  #expiry = Infinity; // when deadlines are checked next
  #cancelExpiry: (() => void) | undefined;
  #closed: LocalError | undefined;

  constructor(readonly ledger: Ledger, session: Session, host: DeviceHost<DeviceDriver>) {
    this.session = session;
    this.#host = host;
    this.#since = host.clock.date();
    this.#watchExpiry();
  }

  get id(): string {
    return this.ledger.id;
  }

  get server(): string | undefined {
    return this.#host.server;
  }

  get turn(): Turn {
    return this.#host.turn;
  }

  get clock(): Clock {
    return this.#host.clock;
  }

  get pace(): Pace {
    return paceOf(this.#host.pace);
  }

  get attempts(): number {
    const { attempts, deadLetters } = this.#host;
    return deadLetters || this.above?.isShared ? attempts : Infinity;
  }

  get isHeld(): boolean {
    return this.#host.isHeld;
  }

  /** Messages may be handed out again. */
  goOn(): void {
    this.turn.enter(this.#readers.deliver);
  }

  get app(): AppState {
    return this.application?.state ?? "none";
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

  get asleepUntil(): Date | undefined {
    return this.connected ? undefined : asleepUntil(this.session.record);
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

  get roundTrip(): number | undefined {
    return this.session.roundTrip;
  }

  /** Whether only positions are lost if it is forgotten. */
  get isIdle(): boolean {
    if (this.connected || !this.session.isIdle) return false;
    return !this.above?.isKept && !this.#host.deploys.concern(this);
  }

  /** Whether the store has forgotten it, or will with the commit under way. */
  get isForgotten(): boolean {
    return this.ledger.removed;
  }

  /** Set when nothing more is accepted: the error for callers. */
  get closed(): LocalError | undefined {
    return this.#closed;
  }

  get counts(): Readonly<MessageCounts> {
    return this.session.counts;
  }

  watch(listener: MessageListener): () => void {
    const watch = new MessageWatch(this.session.record, listener);
    const watches = (this.#watches ??= new Set()).add(watch);
    return () => void watches.delete(watch);
  }

  ready(): Promise<void> {
    const reason = this.#closed ?? caller()?.over;
    if (reason) return this.pace.refused().then(() => Promise.reject(reason));
    if (this.connected) return this.pace.done() ?? Promise.resolve();
    return (this.#readiness ??= Promise.withResolvers()).promise;
  }

  readline(): Promise<string> {
    return this.#readers.take();
  }

  consume(use: (line: string, tx: Transaction) => Promise<void> | void): Promise<void> {
    return this.#readers.consume(use, (use) => this.#host.transact(use, this));
  }

  /** As `Server.transaction`. */
  transact(use: (tx: Transaction) => Promise<void> | void): Promise<void> {
    return this.pace.keep(this.#host.transact(use));
  }

  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return { next: () => this.#readers.take().then(asResult, atEnd) };
  }

  async write(
    text: string,
    { signal, ...options }: WriteOptions & { signal?: AbortSignal } = {},
  ): Promise<boolean> {
    const { pace } = this;
    const reason = caller()?.over;
    const write = new PendingWrite(this.turn, this.#forget);
    (this.#writes ??= new Set()).add(write);
    const abort = () => write.end(signal!.reason);
    signal?.addEventListener("abort", abort);
    let forget: (() => void) | undefined;
    if (reason) write.refuse(reason);
    else if (signal?.aborted) write.refuse(signal.reason);
    else if (this.turn.failure) write.refuse(this.#closed ?? this.turn.failure);
    else forget = this.turn.enter(() => this.#begin(text, options, write));
    try {
      const isSent = await write.promise;
      if (options.qos !== false) pace.accepted();
      else {
        const turn = isSent ? pace.done() : pace.refused();
        if (turn) await turn;
      }
      return isSent;
    } catch (error) {
      if (write.isRefused) await pace.refused();
      throw error;
    } finally {
      forget?.(); // the caller has given up
      signal?.removeEventListener("abort", abort);
    }
  }

  readonly #forget = (write: PendingWrite): void => void this.#writes?.delete(write);

  #begin(text: string, options: WriteOptions, write: PendingWrite): void {
    if (!this.#writes?.has(write)) return; // the caller has given up meanwhile
    try {
      if (this.#closed) throw this.#closed;
      if (this.turn.failure) throw this.turn.failure;
      const elsewhere = options.qos === false ? undefined : this.#host.expect(write.asker);
      write.over = elsewhere?.forget;
      const now = this.clock.now();
      const accepted = this.session.write(text, options, write, now, elsewhere?.from);
      this.touch();
      if (!accepted || options.qos === false) write.settle(accepted);
    } catch (error) {
      write.refuse(error);
    }
  }

  /** @param also Called with it: its changes of the record become safe in the same commit. */
  clear(also?: (dropped: Cleared) => void): Promise<Cleared> {
    if (this.#closed) return Promise.reject(this.#closed);
    const clear = Promise.withResolvers<Cleared>();
    if (also) (this.#alsoCleared ??= []).push(also);
    (this.#clears ??= new Set()).add(clear);
    this.#toClear = true;
    this.turn.enter(this.beforeDelivery);
    return clear.promise;
  }

  /** Drops all queued messages; if `consume` has the oldest message, afterwards. */
  readonly beforeDelivery = (): void => {
    if (!this.#toClear || this.#readers.isConsuming) return;
    this.#toClear = false;
    // A message that was sent cannot be dropped while its ack may come.
    if (this.inbox + this.outbox > 0) this.cut(new PeerError("LOST", "its messages were dropped"));
    this.#readers.forget();
    const cleared = this.session.clear(new LocalError("CLEARED", "the message was dropped"));
    this.above?.cleared();
    this.#counted = NaN; // so that the smaller queues are reported, though no message was counted
    this.touch();
    for (const also of this.#alsoCleared?.splice(0) ?? []) also(cleared);
    const clears = this.#clears!;
    for (const clear of clears) {
      this.turn.whenSafe(() => clears.delete(clear) && clear.resolve(cleared));
    }
  };

  readonly touch = (): void => this.turn.touch(this.#out);

  /** Like `touch`, if nobody waits for the result. */
  readonly touchAtEnd = (): void => this.turn.touchAtEnd(this.#out);

  /** All changes so far are safe, or cannot be made so at present. */
  readonly #out = (safe: boolean, now: number): void => {
    if (this.isForgotten || this.#isLost) return; // nothing of it is safe
    this.#serving?.flush(safe, now); // before the application continues: its changes are not safe yet
    if (safe) {
      if (this.#watches) this.#show(this.#watches);
      this.#readers.deliver();
      this.above?.out();
    }
    this.#watchExpiry();
    if (safe) {
      for (const it of this.session.takeExpired()) this.#host.reports.expired(this, it);
    }
    const { received, processed, dead, written, delivered, expired } = this.session.counts;
    const counted = received + processed + dead + written + delivered + expired;
    if (counted !== this.#counted) this.#host.reports.moved(this);
    this.#counted = counted;
    if (this.#closed) return;
    if (this.session.isFull) this.#isFull ||= this.#host.reports.full(this);
    else if (this.inbox === 0) this.#isFull = false;
  };

  #show(watches: Set<MessageWatch>): void {
    for (const watch of watches) {
      try {
        watch.look();
      } catch (error) {
        watches.delete(watch);
        this.#host.reports.watchFailed(this, error);
      }
    }
  }

  /** Sets the timer for the next deadline of a message to the device. */
  #watchExpiry(): void {
    const { expiry } = this.session;
    if (expiry === this.#expiry || this.#closed) return;
    this.#cancelExpiry?.();
    this.#expiry = expiry;
    this.#cancelExpiry = undefined;
    if (expiry === Infinity) return;
    const { clock } = this;
    const pause = Math.min(Math.max(0, expiry - clock.now()), LONGEST_TIMER);
    this.#cancelExpiry = clock.after(pause, () => this.turn.enter(this.#expire));
  }

  readonly #expire = (): void => {
    this.#expiry = Infinity;
    if (this.#closed) return;
    this.session.expire(this.clock.now());
    this.touch();
  };

  get isSafe(): boolean {
    return !this.turn.awaits(this.#out) && !this.turn.changed.has(this.ledger);
  }

  /**
   * Serves a connection that was admitted for this device; the newest connection wins.
   *
   * @param ahead Bytes that were read after the greeting.
   */
  serve(connection: Connection, admitted: Admitted, ahead: Uint8Array): void {
    this.#serving?.drop();
    this.session.disconnect();
    this.#metadata = admitted.metadata;
    this.farewell = admitted.dialect === 2 ? formatRefusal(Refusal.leaving) : "";
    this.#since = this.clock.date();
    const now = this.clock.now();
    admitted.connect(this.session, now);
    this.#host.connected(this, now - (admitted.greetedAt ?? now));
    this.#serving = new Serving(connection, this);
    this.#serving.begin(ahead);
    this.#readiness?.resolve();
    this.#readiness = undefined;
  }

  ended(serving: Serving, reason: PeerError): void {
    this.#serving = undefined;
    this.session.disconnect();
    this.session.expire(this.clock.now());
    this.#since = this.clock.date();
    this.touch();
    this.#host.disconnected(this, serving.address, reason);
  }

  /** Ends the connection without a farewell: the device is no longer this server's. */
  drop(reason: PeerError): void {
    const serving = this.#serving;
    this.#serving = undefined;
    this.#isLost = true;
    serving?.drop();
    if (serving) this.#host.disconnected(this, serving.address, reason);
    this.turn.leave(this.#out);
  }

  /** Sends the device, if it is connected, to its next address. */
  sendAway(): void {
    this.#serving?.part(new PeerError("LOST", "it was sent to its next address"));
  }

  /** Ends the connection, if there is one. */
  cut(reason: PeerError): void {
    this.#serving?.cut(reason);
  }

  get runs(): RunningApp | undefined {
    return this.#host.deploys.running(this);
  }

  get deployment(): Deploy | undefined {
    return this.#host.deploys.view(this);
  }

  deploy(wasm: Uint8Array, options: DeployOptions): Promise<void> {
    return this.pace.keep(this.#host.deploys.deploy(this, wasm, options));
  }

  giveUp(): Promise<void> {
    return this.pace.keep(this.#host.deploys.giveUp(this));
  }

  get deadLetters(): readonly DeadLetter[] {
    return this.session.record.state.deadLetters ?? [];
  }

  gaveUp(text: string, error: unknown, isDeadLetter: boolean): void {
    this.#host.reports.gaveUp(this, text, error, isDeadLetter);
  }

  revive(number: number): Promise<void> {
    return this.#dispose(number, true);
  }

  discard(number: number): Promise<void> {
    return this.#dispose(number, false);
  }

  #dispose(number: number, revives: boolean): Promise<void> {
    const disposal = Promise.withResolvers<void>();
    const { promise, resolve, reject } = disposal;
    this.turn.enter(() => {
      try {
        if (this.#closed) throw this.#closed;
        this.removeDeadLetter(number, revives);
        const disposals = this.#disposals ??= new Set();
        disposals.add(disposal);
        this.turn.whenSafe(() => disposals.delete(disposal) && resolve());
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }

  /** The same; called when records may be changed. @throws {LocalError} BAD_ARGUMENT; INBOX_FULL */
  removeDeadLetter(number: number, revives: boolean): void {
    removeDeadLetter(this.session, number, revives);
    if (revives) this.#host.revived(this, number);
    this.touch();
  }

  /** Rejects everything that waits. */
  close(reason: LocalError): void {
    this.#closed = reason;
    this.#cancelExpiry?.();
    this.application?.close();
    this.above?.close(reason);
    this.#host.deploys.lost(this, reason);
    if (this.#readiness) dismiss(this.#readiness, reason);
    this.#readers.close(reason);
    this.#toClear = false;
    for (const it of [...this.#clears ?? [], ...this.#disposals ?? []]) dismiss(it, reason);
    for (const write of [...this.#writes ?? []]) write.close(reason, this.ledger);
  }
}
