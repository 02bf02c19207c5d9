/**
 * The server's end of the link to one device, across all its connections: a state machine without socket,
 * clock, timer or disk. Received bytes and the time go in; output, messages and the next deadline come
 * out. All times are in ms on one monotonic clock.
 *
 *            connect                    first line               disconnect, or tick finds silence
 *   OFFLINE ---------> CONNECTED, quiet ----------> CONNECTED ----------> OFFLINE
 *                      (keepalives and acks only)   (messages too)
 *
 * Its driver calls `Store.commit` between input and output: `transmit` and `peek` return only what is
 * safe. Together with three rules this gives "every message once and in order":
 * - a message is acknowledged after it is in the inbox, and recognised when it is repeated;
 * - messages are sent in order, and after an outage all that the device does not have, again in order;
 * - a full inbox accepts nothing: a message that is not acknowledged stays with the device.
 */
import { LocalError, PeerError } from "../protocol/errors.ts";
import { noMessages } from "./counts.ts";
import type { Limits } from "./limits.ts";
import {
  checkManner,
  type Expired,
  Outbox,
  seconds,
  type WriteOptions,
  type Writer,
} from "./outbox.ts";
import { Pool, PoolShare, QueueText } from "./pool.ts";
import { type Dialect, quote } from "./dialect.ts";
import { NOBODY, type SessionReports } from "./session_reports.ts";
import {
  type DeviceRecord,
  isOfApplication,
  type Manner,
  type Outgoing,
  WITHDRAWN,
} from "./record.ts";
import { checkText, lineId, type Lines } from "../protocol/lines.ts";

/** Most messages that are read beyond a full inbox. A correct device has no ids for more unacknowledged ones. */
const BACKLOG = 256;

/** Most UTF-16 units of these when the queues of all devices are full. */
const BACKLOG_TEXT = 64 * 1024;

/**
 * Most characters that wait for a stalled socket. Beyond this we stop reading and refuse messages without qos, so
 * nothing adds to it.
 */
const OUTPUT = 64 * 1024;

/** How many messages were dropped. */
export interface Cleared {
  /** Messages from the device that its application has not processed. */
  inbox: number;
  /** Messages to the device that it has not acknowledged. */
  outbox: number;
}

export class Session {
  #dialect: Dialect | undefined;
  #proven = false; // whether anything came on this connection after its hello
  #heard = 0;
  #listensSince = 0; // since when its socket has been read without a pause
  #met = false; // whether it has ever connected to this session
  #sent = 0;
  #backlog: string[] = []; // messages read but neither accepted nor acknowledged, because the inbox is full
  readonly #inboxText: QueueText;
  readonly #outbox: Outbox;
  readonly #backlogText: QueueText;
  #lineBytes: number; // longest text that the device is known to accept
  readonly counts = noMessages();

  /**
   * @param record The device's record.
   * @param timeout Silence that counts as an outage, in ms.
   * @param share Its share of the pool that all devices' queues use.
   */
  constructor(
    readonly record: DeviceRecord,
    readonly timeout: number,
    readonly limits: Limits,
    readonly reports: SessionReports = NOBODY,
    readonly share: PoolShare = new PoolShare(new Pool(Infinity)),
  ) {
    this.#inboxText = new QueueText(share);
    this.#backlogText = new QueueText(share);
    this.#lineBytes = limits.lineBytes;
    for (const text of record.inbox) this.#inboxText.add(text);
    this.#outbox = new Outbox(this);
    for (const { text } of record.state.deadLetters ?? []) share.add(text);
    this.disconnect(); // a server that was killed could not do this
  }

  get connected(): boolean {
    return this.#dialect !== undefined;
  }

  /** Time from sending a message to its ack, in ms: the last one measured on this connection. */
  get roundTrip(): number | undefined {
    return this.#dialect?.roundTrip.ms;
  }

  /** Whether no message from the device or to it waits. */
  get isIdle(): boolean {
    const { inbox, outbox } = this.record;
    return inbox.length === 0 && !outbox.some(isOfApplication);
  }

  /**
   * Whether the socket should be read: not while acks wait for it, and not while the inbox is full. But
   * if we wait for acks ourselves they may be next, and the application may go on only then.
   */
  get wantsInput(): boolean {
    const dialect = this.#dialect;
    if (!dialect || dialect.output.length >= OUTPUT) return false;
    if (this.#backlog.length === 0) return true;
    if (dialect.underWay === 0 || this.#backlog.length >= BACKLOG) return false;
    return this.#backlogText.units < BACKLOG_TEXT || this.share.hasRoom;
  }

  /**
   * A connection has proven that it belongs to the device.
   *
   * @param dialect To be made after `disconnect`, because making it may change the record.
   * @param lineBytes Longest text that the device accepts.
   * @param quiet Whether no messages may be sent before the device is heard again.
   */
  connect(dialect: Dialect, lineBytes: number, quiet: boolean, now: number): void {
    this.#dialect = dialect;
    this.#proven = !quiet;
    this.#heard = this.#listensSince = now;
    this.#met = true;
    this.#lineBytes = lineBytes;
    this.record.change({ connects: this.record.positions.connects + 1 });
    this.#outbox.fit(lineBytes, this.reports);
    this.#outbox.connected(dialect, now);
    dialect.prepare();
  }

  /** When to call `expire`; Infinity: not before something is written. */
  get expiry(): number {
    return this.#outbox.expiry;
  }

  /** Withdraws the messages past their deadline whose fate is known. */
  expire(now: number): void {
    this.#outbox.expire(now, this.#dialect);
  }

  /** Messages that were withdrawn at their deadline since the last call; to be reported when that is safe. */
  takeExpired(): readonly Expired[] {
    return this.#outbox.takeExpired();
  }

  /** Longest text that the device is known to accept, in bytes. */
  get lineBytes(): number {
    return this.#lineBytes;
  }

  /** Whether there is a connection on which the device's firmware takes messages of its own. */
  get takesFirmware(): boolean {
    return this.#dialect?.takesFirmware ?? false;
  }

  /**
   * Sends a text that starts with %x02 to the device's firmware: on this connection, or it is withdrawn at the next
   * greeting. The caller bounds how many wait. Only if `takesFirmware`.
   * @param arrived Called when the device has it. The record may be changed.
   */
  tell(text: string, arrived: () => void, now: number): void {
    this.#outbox.await(this.#outbox.add(text, now), { arrived, failed() {} });
    this.#dialect!.prepare();
  }

  /** The connection has ended. An unfinished line of it is dropped. */
  disconnect(): void {
    if (this.#dialect) this.#outbox.disconnected(this.#dialect);
    this.#dialect = undefined;
    for (const line of this.#backlog) this.#backlogText.remove(line);
    this.#backlog = [];
    for (const message of this.record.outbox) {
      if (!message.qos && message.text !== WITHDRAWN) this.#outbox.withdraw(message);
    }
  }

  /**
   * Drops all queued messages in both directions. There must be no connection; on the next one both ends
   * continue after them.
   *
   * @param why The error for the writers of messages to the device.
   */
  clear(why: LocalError): Cleared {
    const inbox = this.record.inbox.length;
    for (let left = inbox; left > 0; left--) this.#inboxText.remove(this.record.process());
    return { inbox, outbox: this.#outbox.clear(why) };
  }

  logged(line: string): void {
    this.reports.logged(this.record.id, line);
  }

  told(text: string): void {
    this.reports.told(this.record.id, text);
  }

  booted(): void {
    this.reports.booted(this.record.id);
  }

  /** Lines were read. @throws {PeerError} if the connection must end */
  receive({ lines, error }: Lines, now: number): void {
    const dialect = this.#dialect!;
    this.#heard = now;
    if (lines.length > 0) this.#proven = true;
    for (const line of lines) {
      if (line === "") continue;
      const id = lineId(line);
      if (id < 0) throw this.#badLine(line);
      if (line.length === 2) dialect.acknowledged(id, now);
      else {
        dialect.check(line);
        if (this.#backlog.length > 0 || !this.#accept(dialect, line)) this.#postpone(line);
      }
    }
    if (error) throw error;
    dialect.prepare();
  }

  #badLine(line: string): PeerError {
    const { advice } = this.#dialect!;
    const message = `a line does not start with an id: ${quote(line)}`;
    return new PeerError("BAD_LINE", message, advice === undefined ? {} : { advice });
  }

  /**
   * A keepalive was read, and nothing else.
   *
   * @returns whether that was all: nothing must be made safe, and nothing is to be sent. If false, pass it to
   * `receive`
   */
  hear(now: number): boolean {
    if (!this.#proven) return false;
    this.#heard = now;
    return true;
  }

  /** The device's socket is read again: what it has sent meanwhile was not heard, and may come only now. */
  listen(now: number): void {
    this.#heard = this.#listensSince = now;
  }

  /** Whether the inbox has no room: the device keeps its messages until there is some. */
  get isFull(): boolean {
    const { record: { inbox }, limits } = this;
    if (inbox.length >= limits.inbox || this.#inboxText.units >= limits.queueText) return true;
    // There is always room for one message, so no device is held up by others.
    return inbox.length > 0 && !this.share.hasRoom;
  }

  #accept(dialect: Dialect, line: string): boolean {
    const { record } = this;
    const before = record.inbox.length;
    if (!dialect.accept(line, !this.isFull)) return false;
    if (record.inbox.length > before) {
      this.#inboxText.add(line.slice(2));
      this.counts.received++;
    }
    return true;
  }

  /** Keeps a message until there is room for it. In dialect 1 the device may repeat it meanwhile. */
  #postpone(line: string): void {
    if (this.#backlog.includes(line)) return;
    this.#backlog.push(line);
    this.#backlogText.add(line);
  }

  /** Accepts what was read while the inbox was full, as far as possible. */
  #resume(): void {
    const backlog = this.#backlog;
    let accepted = 0;
    while (accepted < backlog.length && this.#accept(this.#dialect!, backlog[accepted]!)) {
      this.#backlogText.remove(backlog[accepted++]!);
    }
    if (accepted > 0) this.#backlog = backlog.slice(accepted);
  }

  readonly settled = (message: Outgoing): void => this.#outbox.settled(message);

  /** The oldest message for the application, once it is safe. */
  peek(): string | undefined {
    return this.record.safe > 0 ? this.record.inbox[0] : undefined;
  }

  /** The application has processed the oldest message. */
  shift(): void {
    const text = this.record.inbox[0]!;
    this.record.process();
    this.processed(text);
  }

  /** The oldest message has left the inbox, and that is safe. */
  processed(text: string): void {
    this.counts.processed++;
    this.#left(text);
  }

  #left(text: string): void {
    this.#inboxText.remove(text);
    if (this.#backlog.length > 0) this.#resume();
  }

  /** The oldest message has become a dead letter. */
  gaveUp(text: string): void {
    this.counts.dead++;
    this.share.add(text);
    this.#left(text);
  }

  /** A dead letter was removed. @param revives Whether it is in the inbox again. */
  deadLetterRemoved(text: string, revives: boolean): void {
    this.share.remove(text);
    if (revives) this.#inboxText.add(text);
  }

  /**
   * Accepts a message for the device. With qos, `writer` is told the outcome.
   *
   * @returns false if it was not accepted: it has no qos, and there is no link
   * @throws {LocalError} BAD_TEXT; BAD_ARGUMENT; OUTBOX_FULL
   */
  write(text: string, options: WriteOptions, writer: Writer, now: number, from?: string): boolean {
    const { qos = true } = options;
    const { record } = this;
    const line = checkText(text, this.#lineBytes);
    const manner = checkManner(options, now);
    if (!qos && (!this.#dialect || !this.#proven || this.#dialect.output.length >= OUTPUT)) {
      return false;
    }
    if (!qos) {
      if (this.#outbox.whyFull(now) !== undefined) return false;
      const before = record.outbox.length;
      const sent = this.#dialect!.sendOnce(line, now);
      if (record.outbox.length > before) this.#outbox.added(line);
      return sent;
    }
    const whole = from === undefined ? manner : { ...manner, from };
    this.#outbox.await(this.#outbox.accept(line, whole, now), writer);
    this.#dialect?.prepare();
    return true;
  }

  /** A text and how to send it, as `write` takes them. @throws {LocalError} BAD_TEXT; BAD_ARGUMENT */
  check(text: string, options: WriteOptions, now: number): [line: string, manner: Manner] {
    return [checkText(text, this.#lineBytes), checkManner(options, now)];
  }

  /**
   * Accepts a message that `unenqueue` can undo, as its transaction may fail. Nothing is sent before `resume`.
   *
   * @param line From `check`, like the manner.
   * @throws {LocalError} OUTBOX_FULL; BAD_TEXT: the device has come back meanwhile, and accepts only shorter
   * lines
   */
  enqueue(line: string, manner: Manner, now: number): void {
    this.#outbox.accept(checkText(line, this.#lineBytes), manner, now);
  }

  /** Undoes the last `enqueue`. */
  unenqueue(): void {
    this.#outbox.unaccept();
  }

  /** All enqueued messages are safe, and may be sent. */
  resume(): void {
    this.#dialect?.prepare();
  }

  /** The state of the device's link, for people. */
  whereabouts(now: number): string {
    if (this.#dialect) return "the device is connected, but has not acknowledged it";
    if (!this.#met) return "the device has not connected since the server started";
    return `the device has been away for ${seconds(now - this.#heard)}`;
  }

  /** Takes everything that must be sent now; "" if there is nothing. */
  transmit(now: number): string {
    const dialect = this.#dialect;
    if (!dialect) return "";
    if (this.#proven) dialect.transmit(now);
    if (dialect.output === "" && now - this.#sent >= this.timeout / 4) dialect.output = "\n";
    const output = dialect.output;
    dialect.output = "";
    if (output !== "") this.#sent = now;
    return output;
  }

  /** Like `transmit`, but at most a keepalive: while nothing can be made safe, nothing else may be sent. */
  keepAlive(now: number): string {
    if (!this.#dialect || now - this.#sent < this.timeout / 4) return "";
    this.#sent = now;
    return "\n";
  }

  /** When `tick` and `transmit` must be called at the latest; Infinity: never. */
  deadline(): number {
    if (!this.#dialect) return Infinity;
    return Math.min(
      this.wantsInput ? this.#heard + this.timeout : Infinity,
      this.#sent + this.timeout / 4,
      this.#dialect.deadline(),
    );
  }

  /**
   * Whether `tick` would consider the device silent.
   *
   * @param reads Whether its socket is read.
   */
  isSilent(now: number, reads = true): boolean {
    if (!this.#dialect || !reads || !this.wantsInput) return false;
    return now - this.#heard >= this.timeout;
  }

  /** Whether `tick` would end the connection, because an ack that decides about an expired message is overdue. */
  isLate(now: number, reads: boolean): boolean {
    if (!this.#dialect || !reads || !this.wantsInput) return false;
    return now - Math.max(this.#outbox.late(now), this.#listensSince) >= this.timeout;
  }

  /**
   * @param reads Whether the device's socket is read.
   * @throws {PeerError} SILENT, LATE, if the connection must end
   */
  tick(now: number, reads = true): void {
    if (!this.#dialect) return;
    // What we do not read we cannot hear.
    if (!reads || !this.wantsInput) this.#heard = now;
    if (this.#backlog.length > 0) this.#resume(); // other devices may have made room
    this.#dialect.prepare();
    if (this.isSilent(now)) {
      throw new PeerError("SILENT", `nothing was received for ${this.timeout} ms`);
    }
    if (this.isLate(now, reads)) {
      const message = `a message has no ack ${this.timeout} ms after its deadline`;
      throw new PeerError("LATE", message); // the next greeting decides
    }
  }
}
