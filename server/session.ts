/**
 * The server's end of the link to one device, over all the connections that it ever makes: a state
 * machine without socket, clock or timer. What was read and the time go in; what is to be sent, the
 * messages and the next deadline come out. All times are in ms on one clock that never goes back.
 *
 *            connect                    first line               disconnect, or tick finds silence
 *   OFFLINE ---------> CONNECTED, quiet ----------> CONNECTED ----------> OFFLINE
 *                      (keepalives and acks only)   (messages too)
 *
 * Three rules give "every message once and in order":
 * - a message is acknowledged after it is in the inbox, and known again when it is repeated;
 * - messages go out in order, and all that lack an ack go out again, in order, after an outage or after
 *   `timeout` without an ack: the other end drops what it has;
 * - a full inbox accepts nothing: not acknowledged, a message stays with the device.
 */
import { LocalError, PeerError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import type { DeviceRecord, Outgoing } from "./store/mod.ts";
import { ack, checkText, frame, lineId, type Lines, nextId } from "./wire.ts";

/** Messages on their way without an ack. A stock client has a queue of 20, and loses what overflows it. */
const WINDOW = 16;

/** Ids given out from the oldest message without an ack on, or since the newest ack, also to messages
 * without qos. They come round after 255: an ack must never fit two messages, and a chip's record of what
 * it took last must reach back to every message that may be repeated. */
const IDS_OPEN = 32;

/** Messages that may be read beyond a full inbox. An honest device has no more than ids without an ack. */
const BACKLOG = 256;

/** Characters that may wait for a socket that takes nothing. More is not caused: no reading, no qos off. */
const OUTPUT = 64 * 1024;

/** How a message is to be sent. */
export interface WriteOptions {
  /** Sent again until it is acknowledged. Without: sent at once if there is a link, or never. Default true. */
  qos?: boolean;
  /** Not sent before all earlier ones are acknowledged. Default true. */
  wait?: boolean;
}

export class Session {
  #connected = false;
  #proven = false; // something was heard on this connection after its hello
  #heard = 0;
  #sent = 0;
  #progress = 0; // last ack, or when the first message without one was sent
  #next = 0; // index in the outbox of the next message to send; those before it are on their way
  #idsSinceAck = 0;
  #output = "";
  #backlog: string[] = []; // messages read, but neither accepted nor acknowledged: the inbox is full
  #inboxText = 0;
  #outboxText = 0;
  #acked = new WeakMap<Outgoing, () => void>();

  /**
   * @param record What is remembered of the device.
   * @param timeout Silence that is taken for an outage, in ms.
   */
  constructor(
    readonly record: DeviceRecord,
    readonly timeout: number,
    readonly limits: Limits,
  ) {
    for (const text of record.inbox) this.#inboxText += text.length;
    for (const { text } of record.outbox) this.#outboxText += text.length;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /**
   * Whether the socket should be read: not while acks wait for it, and not while the inbox is full. But
   * when we wait for acks ourselves they may be next, and the application may read on only then.
   */
  get wantsInput(): boolean {
    if (this.#output.length >= OUTPUT) return false;
    return this.#backlog.length === 0 || (this.#next > 0 && this.#backlog.length < BACKLOG);
  }

  /** Whether messages wait for room in the inbox: `resume` is to be called once there is some. */
  get crowded(): boolean {
    return this.#backlog.length > 0;
  }

  /** A connection has said hello for this device. */
  connect(now: number): void {
    this.disconnect();
    this.#connected = true;
    this.record.connects++;
    this.#heard = now;
    // A keepalive at once: the device sends nothing before it has heard one.
    this.#output = "\n";
  }

  /** The connection is gone. What it left half done is forgotten. */
  disconnect(): void {
    this.#connected = false;
    this.#proven = false;
    this.#output = "";
    this.#backlog = [];
    this.#next = 0;
    this.#idsSinceAck = 0;
  }

  /** Lines were read. @throws {PeerError} if the connection must end */
  receive({ lines, error }: Lines, now: number): void {
    this.#heard = now;
    if (lines.length > 0) this.#proven = true;
    for (const line of lines) {
      if (line === "") continue;
      const id = lineId(line);
      if (id < 0) throw new PeerError("BAD_LINE", `a line starts with no id: ${quote(line)}`);
      if (line.length === 2) this.#acknowledged(id, now);
      else if (this.#backlog.length > 0 || !this.#accept(id, line)) this.#postpone(line);
    }
    if (error) throw error;
  }

  /** Returns false if there is no room for this message. */
  #accept(id: number, line: string): boolean {
    const { record, limits } = this;
    const text = line.slice(2);
    if (record.inbox.length >= limits.inbox || this.#inboxText >= limits.queueText) {
      if (!record.duplicates.isRepeat(id, text, record.connects)) return false;
    } else if (record.duplicates.note(id, text, record.connects)) {
      record.inbox.push(text);
      this.#inboxText += text.length;
    }
    this.#output += ack(id);
    return true;
  }

  /** Keeps a message until there is room for it. Meanwhile it may be sent again. */
  #postpone(line: string): void {
    if (!this.#backlog.includes(line)) this.#backlog.push(line);
  }

  #acknowledged(id: number, now: number): void {
    this.#idsSinceAck = 0;
    const { outbox } = this.record;
    for (let i = 0; i < this.#next; i++) {
      const message = outbox[i]!;
      if (message.id !== id) continue;
      outbox.splice(i, 1);
      this.#next--;
      this.#outboxText -= message.text.length;
      this.#progress = now;
      this.#acked.get(message)?.();
      return;
    }
  }

  /** The oldest message for the application. */
  peek(): string | undefined {
    return this.record.inbox[0];
  }

  /** The application has processed the oldest message. */
  shift(): void {
    const text = this.record.inbox.shift();
    if (text !== undefined) this.#inboxText -= text.length;
  }

  /** Accepts what was read while the inbox was full, as far as possible. Returns whether that was anything. */
  resume(): boolean {
    if (!this.crowded) return false;
    const accepted = this.#backlog.findIndex((line) => !this.#accept(lineId(line), line));
    return this.#backlog.splice(0, accepted < 0 ? Infinity : accepted).length > 0;
  }

  /**
   * Accepts a message for the device. `acked` is called once it is there.
   *
   * @returns false if it was not accepted: it has no qos, and there is no link, or a link on which
   * nothing is taken or acknowledged
   * @throws {LocalError} BAD_TEXT; OUTBOX_FULL
   */
  write(text: string, { qos = true, wait = true }: WriteOptions, acked: () => void): boolean {
    const { record, limits } = this;
    const line = checkText(text, limits.lineBytes);
    if (!qos) {
      if (!this.#connected || !this.#proven || this.#output.length >= OUTPUT) return false;
      if (this.#idsAreShort() || record.outbox[0]?.id === 0) return false; // nothing overtakes 00
      this.#output += frame(this.#newId(), line);
      return true;
    }
    if (record.outbox.length >= limits.outbox || this.#outboxText >= limits.queueText) {
      throw new LocalError(
        "OUTBOX_FULL",
        `${record.outbox.length} messages wait for this device already: await write, or drop some`,
      );
    }
    const message = { id: undefined, text: line, overtakes: !wait };
    record.outbox.push(message);
    this.#outboxText += line.length;
    this.#acked.set(message, acked);
    return true;
  }

  #newId(): number {
    this.#idsSinceAck++;
    const id = this.record.nextId;
    this.record.nextId = nextId(id);
    return id;
  }

  #idsAreShort(): boolean {
    if (this.#idsSinceAck >= IDS_OPEN) return true;
    const { outbox: [oldest], nextId } = this.record;
    return oldest?.id !== undefined && (nextId - oldest.id + 255) % 255 >= IDS_OPEN;
  }

  /** Takes all that is to be sent now; "" if that is nothing. */
  transmit(now: number): string {
    if (!this.#connected) return "";
    if (this.#proven) this.#transmitMessages(now);
    if (this.#output === "" && now - this.#sent >= this.timeout / 4) this.#output = "\n";
    const output = this.#output;
    this.#output = "";
    if (output !== "") this.#sent = now;
    return output;
  }

  #transmitMessages(now: number): void {
    const { outbox } = this.record;
    if (this.#next === 0) this.#progress = now;
    else if (now - this.#progress >= this.timeout) {
      this.#next = 0;
      this.#progress = now;
    }
    while (this.#next < outbox.length && this.#next < WINDOW) {
      const message = outbox[this.#next]!;
      // Nothing overtakes 00: a device that has newer messages must not take its repeat for a boot.
      if (this.#next > 0 && (!message.overtakes || outbox[0]!.id === 0)) break;
      if (this.#next > 0 && message.id === undefined && this.#idsAreShort()) break;
      message.id ??= this.#newId();
      this.#output += frame(message.id, message.text);
      this.#next++;
    }
  }

  /** When `tick` and `transmit` must be called at the latest; Infinity: never. */
  deadline(): number {
    if (!this.#connected) return Infinity;
    const { timeout } = this;
    return Math.min(
      this.wantsInput ? this.#heard + timeout : Infinity,
      this.#sent + timeout / 4,
      this.#next > 0 ? this.#progress + timeout : Infinity,
    );
  }

  /** @throws {PeerError} SILENT, if the connection must end */
  tick(now: number): void {
    if (!this.#connected) return;
    // What we do not read we cannot hear.
    if (!this.wantsInput) this.#heard = now;
    if (now - this.#heard >= this.timeout) {
      throw new PeerError("SILENT", `nothing was heard for ${this.timeout} ms`);
    }
  }
}

/** A peer's line in a log, short and on one line. */
function quote(line: string): string {
  return JSON.stringify(line.length > 40 ? `${line.slice(0, 40)}…` : line);
}
