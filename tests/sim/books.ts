/** The books of one device: what was written in either direction, what was seen, and which outcomes were reported. */
import { printable } from "../../server/observe/log.ts";
import type { LocalError } from "../../server/protocol/errors.ts";
import { byteLength, LOGGED } from "../../server/protocol/lines.ts";
import { Aging } from "./aging.ts";
import { Dropped } from "./dropped.ts";
import { Expiring } from "./expiring.ts";
import { InHand } from "./in_hand.ts";
import { OlderStore, type Replacement } from "./older.ts";
import { type Manner, type Message, Stream } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

export class Books {
  readonly fromDevice: Stream;
  readonly toDevice: Stream;
  /** Lines that the device logs at the server. */
  readonly log: Stream;
  /** Whether the server says that its store is old. */
  readonly older: OlderStore;
  /** Messages to the device that have a deadline. */
  readonly expiring: Expiring;
  /** Messages of the device that have a deadline. */
  readonly aging: Aging;
  /** Messages that the operator has told the server to drop. */
  readonly dropped = new Dropped();
  /** The message that the device's application is busy with. */
  readonly inHand = new InHand(this);
  /** Messages that `readline` has handed to the server's application, and whose processing is not safe yet. */
  #handedOut: Message[] = [];
  /** Lines that the server has logged, and whose acknowledgement is not safe yet. */
  #logged: Message[] = [];
  /** Effects of the applications' statements in the commit under way. */
  #effects = new Set<string>();
  /** How often the server's application got each message. */
  #attempts = new Map<string, number>();
  /** Messages that an application was processing when it failed: they must come again. */
  #owed = new Set<string>();
  /** Dead letters of the commit under way. */
  #deadLetters = new Set<string>();
  /** How often the server's store was lost. */
  stores = 0;
  #boot = 0;

  /**
   * @param mayBeFirst Whether the device speaks dialect 1, or may do so later.
   * @param attempts How often an application must have failed with a message before it may be given up.
   * @param now The time, in ms.
   */
  constructor(
    readonly id: string,
    readonly mayBeFirst: boolean,
    readonly attempts: number,
    readonly now: () => number,
  ) {
    this.older = new OlderStore(id);
    this.fromDevice = new Stream(`${id}>`);
    this.toDevice = new Stream(`>${id}`);
    this.expiring = new Expiring(this);
    this.log = new Stream(`log of ${id}`);
    this.aging = new Aging(this);
  }

  /** @param logs Whether it is a line of the log, if the dialect has these. */
  deviceWrote(text: string, boot: number, manner: Manner, logs = false): Message {
    if (!logs) return this.fromDevice.accepted(text, boot, manner);
    const message = this.log.accepted(printable(text.slice(LOGGED.length)), boot, manner);
    message.bytes = byteLength(text);
    return message;
  }

  /** The server logs a line of the device. */
  logged(text: string): void {
    this.#logged.push(this.log.seen(text, true));
  }

  /** The device's writer is told that its message has arrived. */
  deviceTold(message: Message): void {
    if (message.gone) throw this.#violation("told that", message, "arrived: it was refused");
    message.told = true;
    if (message.lost) message.excused = true; // by a server that has lost its store since
    if (message.qos && !message.safe && !message.excused && !message.doubtful) {
      throw this.#violation("told that", message, "arrived: it is not safe");
    }
  }

  /** A device's writer is told that its message will not arrive because it is longer than the server takes. */
  deviceFailed(message: Message, lineBytes: number): void {
    if (message.bytes <= lineBytes) {
      throw this.#violation("", message, "was refused, and is not too long");
    }
    message.excused = true;
  }

  /** A device's writer is told that its message is kept. */
  deviceToldKept(message: Message): void {
    if (!message.kept) throw this.#violation("told that", message, "is kept: it is not");
  }

  /** The memory of the device's client has the message. */
  deviceKept(text: string): void {
    const message = this.fromDevice.find(text);
    if (!message) throw new Violation(`${this.id}: ${JSON.stringify(text)} is kept, not written`);
    message.kept = message.held = true;
  }

  /** The memory of the device's client has dropped the message. @param lineBytes What the server takes */
  deviceForgot(text: string, lineBytes: number): void {
    const message = this.fromDevice.find(text)!;
    message.held = false;
    if (message.lost) message.excused = true; // by a server that has lost its store since
    if (message.safe || message.excused || message.doubtful) return;
    if (message.bytes <= lineBytes && !this.aging.isOver(message, this.#boot)) {
      throw this.#violation("", message, "is forgotten, and the server does not have it");
    }
    message.excused = true;
  }

  /** A device's writer is told that its message was not accepted. */
  deviceRefused(message: Message): void {
    if (message.safe) throw this.#violation("", message, "was refused, but the server has it");
    message.gone = true;
  }

  seenByDevice(text: string, dialect: 1 | 2): Message {
    const message = this.toDevice.seen(text, dialect === 2);
    message.memory = this.older.memory;
    this.expiring.seen(message);
    this.inHand.seen(message);
    // In dialect 1 nobody keeps a message without qos.
    if (!message.safe && (message.qos || dialect === 2)) {
      throw this.#violation("", message, "was sent before it was safe");
    }
    return message;
  }

  /** @param knows Whether it will come back with its position. */
  deviceDied(knows: boolean): void {
    this.#boot++;
    if (!knows) this.expiring.forgot();
    this.older.deviceDied(knows);
    this.inHand.died(knows);
    this.toDevice.readerBegins();
    if (knows) return;
    for (const message of this.fromDevice.messages) message.kept = message.held = false;
    for (const message of this.toDevice.messages) {
      if (message.seen > 0 && message.qos && !message.settled) message.repeats = 1;
    }
  }

  /** The device has a link. @param isStored Whether the server's store knows the device */
  linkUp(connection: object, isStored: boolean): void {
    this.expiring.linkUp(connection);
    this.aging.linkUp(isStored);
    this.older.welcomed();
  }

  /** The server has admitted the device. */
  admitted(connection: object | undefined): void {
    if (connection) this.expiring.admitted(connection);
    this.dropped.admitted();
  }

  /** The server's application writes. The store shows the message's place in the order. */
  serverWrites(text: string, manner: Manner): Message {
    return this.toDevice.offered(text, this.stores, { ...manner, since: this.expiring.known });
  }

  /** The server's writer is told that its message has arrived. */
  serverTold(message: Message): void {
    if (message.told) throw this.#violation("twice told that", message, "arrived");
    message.told = true;
    if (message.seen === 0 && !message.excused) {
      throw this.#violation("told that", message, "arrived: nobody has seen it");
    }
  }

  /** The server's writer is told that its message, which has no qos, was sent. */
  serverSent(message: Message): void {
    message.told = true;
  }

  /** The server's writer is told that its message was not accepted. */
  serverRefused(message: Message): void {
    if (message.safe) throw this.#violation("", message, "was refused, but the store has it");
    message.gone = true;
  }

  /**
   * The server's writer is told that its message is too long.
   *
   * @param lineBytes Longest text that the device takes.
   */
  serverFailed(message: Message, error: LocalError, lineBytes: number): void {
    if (message.bytes <= lineBytes && !message.text.startsWith(LOGGED)) {
      throw this.#violation("", message, `was refused: ${error.message}`);
    }
    if (message.safe) message.excused = true;
    else message.gone = true;
  }

  /** The server's writer is told that the server has lost the device: what is not in the store never will be. */
  serverLost(message: Message): void {
    if (!message.safe) message.gone = true;
  }

  /** The server's writer is told that its message was dropped. If the server is killed now, that may be undone. */
  serverCleared(message: Message): void {
    if (message.safe) message.excused = true;
    else message.gone = true;
  }

  /** The server's writer no longer waits for an answer. */
  serverGaveUp(message: Message): void {
    if (!message.safe) message.excused = true; // nobody knows whether it was accepted
  }

  /** `readline` has handed a message to the server's application. */
  handedOut(text: string): void {
    const message = this.#seenByServer(text);
    this.#attempted(text);
    if (this.#handedOut.at(-1) !== message) this.#handedOut.push(message);
  }

  /**
   * `consume` offers a message to the server's application: it is seen if that succeeds.
   *
   * @param mayBePast The process may have lost the device without knowing it: then it commits nothing of this.
   */
  offered(text: string, mayBePast = false): void {
    const message = this.fromDevice.find(text);
    if (!message) throw new Violation(`${this.id}: ${JSON.stringify(text)} was never written`);
    if (!message.safe) throw this.#violation("", message, "was offered before it was safe");
    const end = message.isDeadLetter ? "was given up" : message.dropped && "was dropped";
    if (end && !mayBePast) throw this.#violation("", message, `${end}, and is offered again`);
    this.#attempted(text);
  }

  /** The application fails while it processes a message. */
  owes(text: string): void {
    this.#owed.add(text);
  }

  #attempted(text: string): void {
    this.#owed.delete(text);
    this.#attempts.set(text, (this.#attempts.get(text) ?? 0) + 1);
  }

  /** The effect of a consumed message has become safe. */
  effect(text: string): void {
    this.#seenByServer(text);
    this.#effects.add(text);
  }

  #seenByServer(text: string): Message {
    const message = this.fromDevice.seen(text, true);
    if (!message.safe) throw this.#violation("", message, "was handed out before it was safe");
    return message;
  }

  /** A message from the device is in the store. */
  received(text: string): void {
    const message = this.fromDevice.find(text);
    if (!message) return;
    this.#safe(message);
    message.lost = false;
  }

  /** The server's application has failed while it processed its last message, which must come again. */
  appFailed(): void {
    this.fromDevice.readerBegins();
    const last = this.#handedOut.at(-1);
    if (last) last.repeats = Math.max(1, last.repeats);
  }

  /** The store has a message as a dead letter. No application will get it, or get it again. */
  deadLetterAdded(text: string): void {
    const message = this.fromDevice.find(text);
    if (!message) return;
    const attempts = this.#attempts.get(text) ?? 0;
    if (attempts < this.attempts) {
      throw this.#violation("", message, `was given up after ${attempts} attempts`);
    }
    message.repeats = 0;
    message.excused = true;
    message.isDeadLetter = true;
    this.#deadLetters.add(text);
  }

  /** A message is processed, according to the store. */
  processed(text: string): void {
    if (this.#owed.has(text) && !this.#deadLetters.has(text) && this.dropped.orders.size === 0) {
      throw new Violation(
        `${this.id}: the application has failed with ${text}, and it is done with`,
      );
    }
    const isKnown = this.#effects.delete(text) || this.#deadLetters.delete(text);
    const isNext = this.#handedOut[0]?.text === text;
    // Consumed, or given up, although an earlier run of the application had received it.
    if (!isNext && (isKnown || this.dropped.leaves(this.fromDevice.find(text)!))) return;
    const message = this.#handedOut.shift();
    if (message && !message.copied) message.repeats = 0;
    if (message?.text === text) return;
    throw new Violation(`${this.id}: ${JSON.stringify(text)} is done with, and nobody has seen it`);
  }

  written(text: string): void {
    const message = this.toDevice.find(text);
    if (!message) return;
    this.#safe(message);
    this.toDevice.place(message);
  }

  /** The store has dropped the message: it has arrived, or can never be delivered and its writer may have ended. */
  withdrawn(text: string, lineBytes: number): void {
    const message = this.toDevice.find(text);
    if (!message?.qos) return;
    if (message.seen > 0) {
      message.settled = true;
      return;
    }
    if (message.told) { // in dialect 1 it has overtaken others, and leaves the outbox after them
      message.settled = true;
      return;
    }
    if (message.bytes <= lineBytes && this.expiring.isOfUse(message)) {
      throw this.#violation("", message, "was withdrawn without a reason");
    }
    message.excused = true;
  }

  settled(text: string): void {
    const message = this.toDevice.find(text);
    if (!message) return;
    message.settled = true;
    const isDropped = this.dropped.withdraws(message);
    if (!this.expiring.isOfUse(message)) message.excused = true; // it may have been withdrawn while no server ran
    else if (!isDropped && !message.held) message.repeats = message.extra; // its reader has it, or it may be on its way
  }

  /** A commit is done: everything that the server knew when it began is safe. */
  committed(): void {
    for (const text of this.#effects) {
      throw new Violation(
        `${this.id}: the effect of ${JSON.stringify(text)} is safe, and its processing is not`,
      );
    }
    for (const message of this.#logged) this.#safe(message);
    this.#logged = [];
  }

  #safe(message: Message): void {
    message.safe = true;
    message.safeAt = Math.min(message.safeAt, this.now());
  }

  /** @param replacement Given if the store was replaced, by an empty one or an old copy. */
  serverDied(replacement?: Replacement): void {
    this.#sessionEnds();
    if (!replacement) { for (const message of this.#handedOut) message.repeats = 1; }
    else {
      const { fromDevice, log, toDevice } = this;
      this.older.replaced(replacement, this.#boot, [fromDevice, log], toDevice);
      const { inbox = [], outbox = [] } = replacement.found ?? {};
      this.#storeReplaced(new Set(inbox), new Set(outbox.map(({ text }) => text)));
    }
    this.#handedOut = [];
  }

  /** On the operator's order, the current commit has removed the device from the store. */
  forgotten(): void {
    this.#sessionEnds();
    this.#effects.clear();
    this.older.forgotten();
    this.aging.isForgotten = true;
    this.#storeReplaced(new Set(), new Set());
    for (const message of this.toDevice.messages) this.dropped.forgets(message);
    this.#handedOut = [];
  }

  /**
   * The server has forgotten the device, which may never have been in the store: nobody knows which of its lines were
   * logged. A device that has greeted meanwhile may still get acks for them.
   */
  logsForgotten(): void {
    this.log.readerBegins();
    for (const message of this.log.messages) {
      if (message.seen > 0 && !message.told) Object.assign(message, { repeats: 1, excused: true });
    }
  }

  /** The server loses everything about the device that is not in its store. */
  #sessionEnds(): void {
    this.expiring.forgot();
    this.#owed.clear();
    this.dropped.serverDied();
    this.fromDevice.readerBegins();
    this.log.readerBegins();
    for (const message of this.#logged) message.repeats = 1;
    this.#logged = [];
    for (const message of this.toDevice.all()) {
      if (!message.safe && (message.qos || !this.mayBeFirst)) message.gone = true;
    }
  }

  #storeReplaced(inbox: Set<string>, outbox: Set<string>): void {
    const { fromDevice, toDevice, log } = this;
    this.dropped.storeReplaced();
    this.inHand.storeReplaced();
    if (outbox.size === 0) this.stores++;
    toDevice.writerForgets();
    for (const message of toDevice.messages) {
      if (!outbox.has(message.text)) message.excused ||= message.seen === 0;
      else {
        message.settled = message.dropped = false;
        message.copied = true;
        // Repeats that were allowed before, and are still on their way, are on the one connection that will end.
        if (message.qos) message.repeats = Math.min(message.repeats, 1) + 1;
      }
    }
    for (const message of [...fromDevice.messages, ...log.messages]) {
      const held = inbox.has(message.text);
      message.copied ||= held;
      if (held) message.isDeadLetter = false;
      const comesAgain = message.kept
        ? message.held
        : message.epoch === this.#boot && !message.told;
      if (held || comesAgain) message.dropped = false;
      if (message.seen > 0 && (held || comesAgain)) message.repeats = 1;
      if (message.seen > 0 || !message.safe || held) continue;
      if (comesAgain) message.lost = true;
      else message.excused = true;
    }
  }

  /** @throws {Violation} if something that was accepted has not arrived */
  settle(): void {
    const lost = this.unfinished();
    if (lost) throw this.#violation("", lost, `has not come${lost.seen > 0 ? " again" : ""}`);
  }

  unfinished(): Message | undefined {
    return this.fromDevice.missing(this.#boot) ?? this.log.missing(this.#boot) ??
      this.toDevice.missing(0) ?? this.dropped.missing(this.#boot) ?? this.inHand.missing;
  }

  #violation(before: string, { text }: Message, after: string): Violation {
    const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
    return new Violation(`${this.id}: ${before} ${JSON.stringify(short)} ${after}`);
  }
}
