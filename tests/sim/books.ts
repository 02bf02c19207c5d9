/** The books of one device: what was written in both directions, what was seen, and who was told what. */
import type { LocalError } from "../../server/protocol/errors.ts";
import { byteLength } from "../../server/protocol/lines.ts";
import { type Message, Stream, Violation } from "./promises.ts";
import type { Rows } from "./store.ts";

export class Books {
  readonly fromDevice: Stream;
  readonly toDevice: Stream;
  /** What the device logs at the server. */
  readonly log: Stream;
  /** What the server's application was handed, but is not safely processed. */
  #handedOut: Message[] = [];
  /** What the server has logged, but does not know safely that it has. */
  #logged: Message[] = [];
  /** How often the server's store was lost. */
  #stores = 0;
  #boot = 0;

  /** @param consumes The server's application commits its effects with the position. */
  constructor(readonly id: string, readonly consumes: boolean) {
    this.fromDevice = new Stream(`${id}>`);
    this.toDevice = new Stream(`>${id}`);
    this.log = new Stream(`log of ${id}`);
  }

  /** @param logs It is a line of the log, where such are known. */
  deviceWrote(text: string, boot: number, qos: boolean, waits: boolean, logs: boolean): Message {
    return (logs ? this.log : this.fromDevice).accepted(text, boot, qos, waits);
  }

  /** How many messages the device has written. */
  get writtenByDevice(): number {
    return this.fromDevice.messages.length + this.log.messages.length;
  }

  /** The server logs a line of the device. */
  logged(text: string): void {
    this.#logged.push(this.log.seen(text, true));
  }

  /** All that the server knew is safe. */
  committed(): void {
    for (const message of this.#logged) message.safe = true;
    this.#logged = [];
  }

  /** The device's core says that a message is done with. */
  deviceTold(message: Message): void {
    message.told = true;
    if (message.lost) message.excused = true; // by a server that is another one now
    if (message.qos && !message.safe && !message.excused) {
      throw new Violation(`${this.id}: told that ${quote(message)} arrived: it is not safe`);
    }
  }

  /** A device's writer is told that its message will not arrive: it is longer than the server takes. */
  deviceFailed(message: Message, lineBytes: number): void {
    if (byteLength(message.text) <= lineBytes) {
      throw new Violation(`${this.id}: ${quote(message)} was refused, and is not too long`);
    }
    message.excused = true;
  }

  seenByDevice(text: string, dialect: 1 | 2): Message {
    const message = this.toDevice.seen(text, dialect === 2);
    if (message.waits && !message.safe) {
      throw new Violation(`${this.id}: ${quote(message)} was sent before it was safe`);
    }
    return message;
  }

  /** @param knows It will come back with its position, and use it. */
  deviceDied(knows: boolean): void {
    this.#boot++;
    this.toDevice.readerBegins();
    if (knows) return;
    for (const message of this.toDevice.messages) {
      if (message.seen > 0 && message.qos && !message.settled) message.repeats = 1;
    }
  }

  /** @param stored It does not go out before it is safe. */
  serverWrote(text: string, qos: boolean, waits: boolean, stored: boolean): Message {
    const message = this.toDevice.accepted(text, this.#stores, qos, waits);
    if (!stored) message.safe = message.settled = true; // nobody remembers it
    return message;
  }

  /** The server's writer is told that its message arrived. */
  serverTold(message: Message): void {
    if (message.told) throw new Violation(`${this.id}: twice told that ${quote(message)} arrived`);
    message.told = true;
    if (message.seen === 0) {
      throw new Violation(`${this.id}: told that ${quote(message)} arrived: nobody has seen it`);
    }
  }

  /** @param lineBytes Longest text that the device takes. */
  serverFailed(message: Message, error: LocalError, lineBytes: number): void {
    if (error.code !== "BAD_TEXT" || byteLength(message.text) <= lineBytes) {
      throw new Violation(`${this.id}: ${quote(message)} was refused: ${error.message}`);
    }
    message.excused = true;
  }

  handedOut(text: string): void {
    if (this.consumes) return;
    this.#handedOut.push(this.#seenByServer(text));
  }

  #seenByServer(text: string): Message {
    const message = this.fromDevice.seen(text, true);
    if (!message.safe) {
      throw new Violation(`${this.id}: ${quote(message)} was handed out before it was safe`);
    }
    return message;
  }

  /** The store knows of a message from the device. */
  received(text: string): void {
    const message = this.fromDevice.find(text);
    if (!message) return;
    message.safe = true;
    message.lost = false;
  }

  /** The store knows that a message was processed. */
  processed(text: string): void {
    if (this.consumes) this.#seenByServer(text);
    else this.#handedOut.shift();
  }

  written(text: string): void {
    const message = this.toDevice.find(text);
    if (message) message.safe = true;
  }

  /** The store's copy is gone: it has arrived, or the device can never take it, and nobody may be told. */
  withdrawn(text: string, lineBytes: number): void {
    const message = this.toDevice.find(text);
    if (!message?.qos) return;
    if (message.seen > 0) {
      message.settled = true;
      return;
    }
    if (message.told) { // in dialect 1 it overtook others, and waits for them to leave the outbox
      message.settled = true;
      return;
    }
    if (byteLength(text) <= lineBytes) {
      throw new Violation(`${this.id}: ${quote(message)} was withdrawn without a reason`);
    }
    message.excused = true;
  }

  settled(text: string): void {
    const message = this.toDevice.find(text);
    if (!message) return;
    message.settled = true;
    message.repeats = 0; // its reader has kept that it has it
  }

  /** @param found What the store holds of the device when it is another one: none, or an old copy. */
  serverDied(found?: Pick<Rows, "inbox" | "outbox">): void {
    this.fromDevice.readerBegins();
    this.log.readerBegins();
    for (const message of this.#logged) message.repeats = 1;
    this.#logged = [];
    for (const message of this.toDevice.messages) if (!message.safe) message.gone = true;
    if (!found) { for (const message of this.#handedOut) message.repeats = 1; }
    else this.#storeReplaced(new Set(found.inbox), new Set(found.outbox.map(({ text }) => text)));
    this.#handedOut = [];
  }

  #storeReplaced(inbox: Set<string>, outbox: Set<string>): void {
    const { fromDevice, toDevice, log } = this;
    if (outbox.size === 0) this.#stores++;
    toDevice.writerForgets();
    for (const message of toDevice.messages) {
      if (!outbox.has(message.text)) message.excused ||= message.seen === 0;
      else {
        message.settled = false;
        message.copied = true;
        // What was granted before, and is still on its way, is on the one connection that is going to end.
        if (message.qos) message.repeats = Math.min(message.repeats, 1) + 1;
      }
    }
    for (const message of [...fromDevice.messages, ...log.messages]) {
      const held = inbox.has(message.text);
      message.copied ||= held;
      const comesAgain = message.epoch === this.#boot && !message.told;
      if (message.seen > 0 && (held || comesAgain)) message.repeats = 1;
      if (message.seen > 0 || !message.safe || held) continue;
      if (comesAgain) message.lost = true;
      else message.excused = true;
    }
  }

  /** @throws {Violation} if something that was accepted has not arrived */
  settle(): void {
    const lost = this.unfinished();
    if (lost) throw new Violation(`${this.id}: ${quote(lost)} has never arrived`);
  }

  unfinished(): Message | undefined {
    return this.fromDevice.missing(this.#boot) ?? this.log.missing(this.#boot) ??
      this.toDevice.missing(0);
  }
}

function quote({ text }: Message): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
