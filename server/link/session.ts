/**
 * The server's end of the link to one device, over all the connections that it ever makes: a state
 * machine without socket, clock, timer or disk. What was read and the time go in; what is to be sent, the
 * messages and the next deadline come out. All times are in ms on one clock that never goes back.
 *
 *            connect                    first line               disconnect, or tick finds silence
 *   OFFLINE ---------> CONNECTED, quiet ----------> CONNECTED ----------> OFFLINE
 *                      (keepalives and acks only)   (messages too)
 *
 * Whoever drives it calls `Store.commit` between what goes in and what comes out: `transmit` and `peek`
 * may only give what is safe. That, with three rules, gives "every message once and in order":
 * - a message is acknowledged after it is in the inbox, and known again when it is repeated;
 * - messages go out in order, and after an outage all that the device does not have, again in order;
 * - a full inbox accepts nothing: not acknowledged, a message stays with the device.
 */
import { LocalError, PeerError } from "../protocol/errors.ts";
import type { Limits } from "./limits.ts";
import { type Dialect, quote } from "./dialect.ts";
import { type DeviceRecord, type Outgoing, WITHDRAWN } from "./record.ts";
import { byteLength, checkText, lineId, type Lines } from "../protocol/lines.ts";

/** Messages that may be read beyond a full inbox. An honest device has no more than ids without an ack. */
const BACKLOG = 256;

/** Characters that may wait for a socket that takes nothing. More is not caused: no reading, no qos off. */
const OUTPUT = 64 * 1024;

/** Characters that are kept of why a message became a dead letter. */
const LETTER_ERROR = 200;

/** How a message is to be sent. */
export interface WriteOptions {
  /** Sent again until it is acknowledged. Without: sent at once if there is a link, or never. Default true. */
  qos?: boolean;
  /** In dialect 1, not sent before all earlier ones are acknowledged. Dialect 2 needs no waiting. Default true. */
  wait?: boolean;
}

/** Messages since the server was started. */
export interface MessageCounts {
  /** Of the device, accepted. */
  received: number;
  /** Of the device, done with by the application. */
  processed: number;
  /** Of the device, given up: dead letters. */
  dead: number;
  /** To the device, accepted with qos. */
  written: number;
  /** To the device, acknowledged by it. */
  delivered: number;
}

/** Who wrote a message, and wants to know what became of it. */
export interface Writer {
  arrived(): void;
  failed(error: LocalError): void;
}

export class Session {
  #dialect: Dialect | undefined;
  #proven = false; // something was heard on this connection after its hello
  #heard = 0;
  #met = false; // it has connected to this session
  #sent = 0;
  #backlog: string[] = []; // messages read, but neither accepted nor acknowledged: the inbox is full
  #inboxText = 0;
  #outboxText = 0;
  #lineBytes: number; // longest text that the device takes, as far as is known
  #writers: Map<Outgoing, Writer> | undefined; // of those who wait
  readonly counts: MessageCounts = {
    received: 0,
    processed: 0,
    dead: 0,
    written: 0,
    delivered: 0,
  };

  /**
   * @param record What is remembered of the device.
   * @param timeout Silence that is taken for an outage, in ms.
   * @param logged Told of every line that the device itself has logged. Each is counted, and its ack waits for
   * the commit, as with a message; a server that is killed before may be told again.
   * @param booted Told when the device has begun a new stream of messages: it was started, or knows nothing any more.
   */
  constructor(
    readonly record: DeviceRecord,
    readonly timeout: number,
    readonly limits: Limits,
    readonly logged: (line: string) => void = () => {},
    readonly booted: () => void = () => {},
  ) {
    this.#lineBytes = limits.lineBytes;
    for (const text of record.inbox) this.#inboxText += text.length;
    for (const message of record.outbox) this.#outboxText += weight(message);
    this.disconnect(); // a killed server had no time to
  }

  get connected(): boolean {
    return this.#dialect !== undefined;
  }

  /**
   * Whether the socket should be read: not while acks wait for it, and not while the inbox is full. But
   * when we wait for acks ourselves they may be next, and the application may read on only then.
   */
  get wantsInput(): boolean {
    const dialect = this.#dialect;
    if (!dialect || dialect.output.length >= OUTPUT) return false;
    return this.#backlog.length === 0 || (dialect.awaitsAcks && this.#backlog.length < BACKLOG);
  }

  /**
   * A connection has proved that it is the device's.
   *
   * @param dialect Made after `disconnect`, as it may change the record.
   * @param lineBytes Longest text that the device takes.
   * @param quiet Nothing may be sent before the device is heard again.
   */
  connect(dialect: Dialect, lineBytes: number, quiet: boolean, now: number): void {
    this.#dialect = dialect;
    this.#proven = !quiet;
    this.#heard = now;
    this.#met = true;
    this.#lineBytes = lineBytes;
    this.record.change({ connects: this.record.positions.connects + 1 });
    for (const message of this.record.outbox) {
      if (byteLength(message.text) > lineBytes) this.#withdraw(message, lineBytes);
    }
    dialect.prepare();
  }

  #withdraw(message: Outgoing, lineBytes: number): void {
    this.#outboxText -= weight(message);
    this.record.withdraw(message);
    this.#takeWriter(message)?.failed(
      new LocalError("BAD_TEXT", `the device has come back with room for ${lineBytes} bytes only`),
    );
  }

  #takeWriter(message: Outgoing): Writer | undefined {
    const writer = this.#writers?.get(message);
    if (writer) this.#writers!.delete(message);
    return writer;
  }

  /** The connection is gone. What it left half done is forgotten. */
  disconnect(): void {
    this.#dialect = undefined;
    this.#backlog = [];
    for (const message of this.record.outbox) {
      if (message.qos || message.text === WITHDRAWN) continue;
      this.#outboxText -= weight(message);
      this.record.withdraw(message);
    }
  }

  /** Lines were read. @throws {PeerError} if the connection must end */
  receive({ lines, error }: Lines, now: number): void {
    const dialect = this.#dialect!;
    this.#heard = now;
    if (lines.length > 0) this.#proven = true;
    for (const line of lines) {
      if (line === "") continue;
      const id = lineId(line);
      if (id < 0) throw new PeerError("BAD_LINE", `a line starts with no id: ${quote(line)}`);
      if (line.length === 2) dialect.acknowledged(id, now);
      else {
        dialect.check(line);
        if (this.#backlog.length > 0 || !this.#accept(dialect, line)) this.#postpone(line);
      }
    }
    if (error) throw error;
    dialect.prepare();
  }

  /**
   * A keepalive was read, and nothing else.
   *
   * @returns whether that is all: nothing has changed that must be made safe, and nothing is to be sent. If not,
   * `receive` it
   */
  hear(now: number): boolean {
    if (!this.#proven) return false;
    this.#heard = now;
    return true;
  }

  /** Whether the inbox has no room: the device keeps what it has until there is some. */
  get isFull(): boolean {
    const { record: { inbox }, limits } = this;
    return inbox.length >= limits.inbox || this.#inboxText >= limits.queueText;
  }

  #accept(dialect: Dialect, line: string): boolean {
    const { record } = this;
    const before = record.inbox.length;
    if (!dialect.accept(line, !this.isFull)) return false;
    if (record.inbox.length > before) {
      this.#inboxText += line.length - 2;
      this.counts.received++;
    }
    return true;
  }

  /** Keeps a message until there is room for it. In dialect 1 it may be sent again meanwhile. */
  #postpone(line: string): void {
    if (!this.#backlog.includes(line)) this.#backlog.push(line);
  }

  /** Accepts what was read while the inbox was full, as far as possible. */
  #resume(): void {
    const backlog = this.#backlog;
    let accepted = 0;
    while (accepted < backlog.length && this.#accept(this.#dialect!, backlog[accepted]!)) {
      accepted++;
    }
    if (accepted > 0) this.#backlog = backlog.slice(accepted);
  }

  /** The device has a message, or it was withdrawn: it leaves the outbox. */
  readonly settled = (message: Outgoing): void => {
    this.#outboxText -= weight(message);
    if (message.qos && message.text !== WITHDRAWN) this.counts.delivered++;
    this.#takeWriter(message)?.arrived();
  };

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
    this.#inboxText -= text.length;
    if (this.#backlog.length > 0) this.#resume();
  }

  /**
   * The oldest message becomes a dead letter.
   *
   * @param error Why.
   * @param date In ms since 1970.
   * @returns false: there are too many, and nothing has changed
   */
  bury(error: string, date: number): boolean {
    const { record, limits } = this;
    const letters = record.state.deadLetters ?? [];
    const held = letters.reduce((sum, { text }) => sum + text.length, 0);
    if (letters.length >= limits.deadLetters || held >= limits.queueText) return false;
    this.counts.dead++;
    this.#left(record.bury(error.slice(0, LETTER_ERROR), date));
    return true;
  }

  /**
   * A dead letter is one no more.
   *
   * @param number Its number.
   * @param revives It comes to the end of the inbox again.
   * @throws {LocalError} BAD_ARGUMENT: there is no such letter; INBOX_FULL
   */
  exhume(number: number, revives: boolean): void {
    const letter = this.record.state.deadLetters?.find((letter) => letter.number === number);
    if (!letter) throw new LocalError("BAD_ARGUMENT", `there is no dead letter ${number}`);
    if (revives && this.isFull) {
      throw new LocalError("INBOX_FULL", "the inbox is full: there is no room for a dead letter");
    }
    this.record.exhume(letter, revives);
    if (revives) this.#inboxText += letter.text.length;
  }

  /**
   * Accepts a message for the device. `writer` is told what becomes of it, if it has qos.
   *
   * @returns false if it was not accepted: it has no qos, and there is no link
   * @throws {LocalError} BAD_TEXT; OUTBOX_FULL
   */
  write(
    text: string,
    { qos = true, wait = true }: WriteOptions,
    writer: Writer,
    now: number,
  ): boolean {
    const { record } = this;
    const line = checkText(text, this.#lineBytes);
    if (!qos && (!this.#dialect || !this.#proven || this.#dialect.output.length >= OUTPUT)) {
      return false;
    }
    if (!qos) {
      if (this.#whyFull(now) !== undefined) return false;
      const before = record.outbox.length;
      const sent = this.#dialect!.sendOnce(line, now);
      if (record.outbox.length > before) this.#outboxText += line.length;
      return sent;
    }
    const message = this.#enqueue(line, wait, now);
    (this.#writers ??= new Map()).set(message, writer);
    this.#dialect?.prepare();
    return true;
  }

  #enqueue(line: string, wait: boolean, now: number): Outgoing {
    const full = this.#whyFull(now);
    if (full !== undefined) throw new LocalError("OUTBOX_FULL", full);
    this.#outboxText += line.length;
    this.counts.written++;
    return this.record.write(line, { overtakes: !wait, qos: true }, now);
  }

  /** A text as `write` takes it. @throws {LocalError} BAD_TEXT */
  check(text: string): string {
    return checkText(text, this.#lineBytes);
  }

  /**
   * Accepts a message that may be withdrawn without a trace: its transaction may fail. Nothing is sent of it before
   * `resume`.
   *
   * @param line From `check`.
   * @throws {LocalError} OUTBOX_FULL; BAD_TEXT: the device has come back meanwhile, and takes shorter lines
   */
  enqueue(line: string, { wait = true }: WriteOptions, now: number): void {
    this.#enqueue(this.check(line), wait, now);
  }

  /** The message accepted last never was. */
  unenqueue(): void {
    this.#outboxText -= this.record.outbox.at(-1)!.text.length;
    this.counts.written--;
    this.record.unwrite();
  }

  /** What was enqueued is safe: it may be sent. */
  resume(): void {
    this.#dialect?.prepare();
  }

  /** Why no message can be accepted now; undefined: it can. */
  #whyFull(now: number): string | undefined {
    const { record: { outbox }, limits } = this;
    if (outbox.length >= limits.outbox || this.#outboxText >= limits.queueText) {
      return `${outbox.length} messages wait for this device already: await write, or drop some`;
    }
    if (limits.outboxAge === Infinity) return undefined;
    const oldest = outbox.find(({ qos, text }) => qos && text !== WITHDRAWN);
    const age = now - (oldest?.written ?? now);
    if (age <= limits.outboxAge) return undefined;
    return `the oldest of ${outbox.length} messages has waited for this device for ` +
      `${seconds(age)}, and ${seconds(limits.outboxAge)} is the most (limit outboxAge): ` +
      `${this.#whereabouts(now)}; it goes on when the device has taken that message`;
  }

  #whereabouts(now: number): string {
    if (this.#dialect) return "the device is connected, and has not acknowledged it";
    if (!this.#met) return "the device has not connected since the server was started";
    return `the device has been away for ${seconds(now - this.#heard)}`;
  }

  /** Takes all that is to be sent now; "" if that is nothing. */
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

  /** Like `transmit`, but a keepalive at most: while nothing can be made safe, nothing else may go out. */
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
   * Whether `tick` would take the device for silent.
   *
   * @param reads Whether its socket is read.
   */
  isSilent(now: number, reads = true): boolean {
    if (!this.#dialect || !reads || !this.wantsInput) return false;
    return now - this.#heard >= this.timeout;
  }

  /**
   * @param reads Whether the device's socket is read.
   * @throws {PeerError} SILENT, if the connection must end
   */
  tick(now: number, reads = true): void {
    if (!this.#dialect) return;
    this.#dialect.prepare();
    // What we do not read we cannot hear.
    if (!reads || !this.wantsInput) this.#heard = now;
    if (this.isSilent(now)) {
      throw new PeerError("SILENT", `nothing was heard for ${this.timeout} ms`);
    }
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** What a message takes of the outbox's room for text. */
function weight({ text }: Outgoing): number {
  return text === WITHDRAWN ? 0 : text.length;
}
