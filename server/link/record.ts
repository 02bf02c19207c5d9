import { FIRMWARE } from "../protocol/lines.ts";
import { DuplicateRecord, type Noted } from "./duplicates.ts";
import type { Outcome } from "./outcome.ts";

/** A message on its way to a device. */
export interface Outgoing {
  /** Number in the stream of messages to this device: dialect 2's name for it. */
  readonly seq: number;
  /** Dialect 1's name for it, 0 to 255; given when it is sent in that dialect for the first time. */
  id: number | undefined;
  /** "\0" if it was withdrawn: only its number counts. */
  text: string;
  /** Whether, in dialect 1, it may go out before the messages ahead of it are acknowledged. */
  readonly overtakes: boolean;
  /** Without, it is withdrawn when the connection ends. */
  readonly qos: boolean;
  /** When it was accepted, in ms on the process's clock that never goes back; before 0: by an earlier process. */
  readonly written: number;
  /** From when on it is not sent any more, on that clock; undefined: it is sent until it has arrived. */
  readonly expires: number | undefined;
  /** The device may have it, and cannot say so any more. Only noted of a message that expires. */
  isDoubtful: boolean;
  /** Where it is told what has become of the message: another process has written it. Kept with it. */
  readonly from?: string;
}

/** How to send a message. */
export interface Manner extends Pick<Outgoing, "overtakes" | "qos"> {
  /** See `Outgoing`. */
  readonly expires?: number;
  /** See `Outgoing`. */
  readonly from?: string;
}

/** A message from a device that its application has failed with again and again. */
export interface DeadLetter {
  /** Its number among all messages from the device, from 0 on. */
  readonly number: number;
  /** What it says. */
  readonly text: string;
  /** The application's error, its first 200 characters. */
  readonly error: string;
  /** When it was given up, in ms since 1970. */
  readonly date: number;
}

/** Text of a message that was withdrawn. */
export const WITHDRAWN = "\0";

/**
 * A memo whose key begins so says that somebody waits for what becomes of something with the device. The rest of the key
 * is where he is told, as `Outgoing.from`: also if the device is forgotten.
 */
export const WAITS = ">";

/** Whether an application has written it, and it was not withdrawn. */
export function isOfApplication({ text }: Outgoing): boolean {
  return text !== WITHDRAWN && !text.startsWith(FIRMWARE);
}

/** Told of every change of a record, so that a store need only be told the difference. */
export interface Journal {
  /** A message has entered or left a queue. */
  moved(): void;
  /** A position, an epoch or a counter changed. */
  changed(): void;
  /** A message in the outbox was given an id, became doubtful or was withdrawn. */
  altered(message: Outgoing): void;
  /** In dialect 1, what an id carried was noted; with id 0, others may have been forgotten. */
  heard(id: number): void;
  /** A memo has changed. @param before Its old value; undefined: there was no memo. */
  kept(key: string, before: string | undefined): void;
  /** Another process must be told of an outcome. @param to Where: what it has given as `Outgoing.from` */
  replied(to: string, outcome: Outcome): void;
  /** The last `replied` never was. */
  unreplied(): void;
}

/** Nothing is kept of a record that is only looked at. */
export const NOWHERE: Journal = {
  moved() {},
  changed() {},
  altered() {},
  heard() {},
  kept() {},
  replied() {},
  unreplied() {},
};

/** The state of a record beside its queues. */
export interface Positions {
  /** Names the stream of messages to the device; new when that stream was lost. 32 bits. */
  txEpoch: number;
  /** Number of the next message to the device. 32 bits. */
  txNext: number;
  /** Number of the first message to the device that cannot have been sent in dialect 2. 32 bits. */
  txSent: number;
  /** Dialect 1's id of the next message; 0 only for the first: it tells the device that nothing is
   * remembered. */
  nextId: number;
  /** The device's name for its stream; 0 if none is known. */
  rxEpoch: number;
  /** Number of the next message from the device. 32 bits. */
  rxNext: number;
  /** How often the device has connected. */
  connects: number;
  /** How many messages have left the inbox: the number of the oldest in it. */
  processed: number;
}

/** All that is kept of one device. */
export interface DeviceState {
  /** What does not follow from the queues. */
  readonly positions: Positions;
  /** Messages ever written to the device. Unlike `positions.txNext`, its low 32 bits, it does not wrap. */
  readonly sent: number;
  /** Messages from the device that are not processed; oldest first. */
  readonly inbox: string[];
  /** Messages to the device that are not acknowledged; oldest first. */
  readonly outbox: Outgoing[];
  /** Ids of dialect 1, and what is known of them. */
  readonly heard: [id: number, noted: Noted][];
  /** Messages from the device that were given up; oldest first. Missing or empty: there are none. */
  readonly deadLetters?: DeadLetter[];
  /** Small values that the layer above keeps, in any order. Missing or empty: there are none. */
  readonly memos?: [key: string, text: string][];
}

const NONE: [number, Noted][] = [];

const NO_MEMOS: ReadonlyMap<string, string> = new Map();

/** State of a device that was never here; for tests, of one to which this many messages were written once. */
export function newState(sent = 0, positions: Partial<Positions> = {}): DeviceState {
  const txNext = sent % 2 ** 32;
  return {
    positions: {
      txEpoch: randomEpoch(),
      txNext,
      txSent: txNext,
      nextId: 0,
      rxEpoch: 0,
      rxNext: 0,
      connects: 0,
      processed: 0,
      ...positions,
    },
    sent,
    inbox: [],
    outbox: [],
    heard: [],
  };
}

/** All that is remembered about one device. It changes through its methods alone. */
export class DeviceRecord {
  /** Received, not yet processed by the application; oldest first. */
  readonly inbox: string[];
  /** Accepted from the application, not yet acknowledged by the device; oldest first. */
  readonly outbox: Outgoing[];
  /** What the device sent last in dialect 1, to know its repeats. */
  readonly duplicates = new DuplicateRecord();
  /** How many messages of the inbox are safe in the store, and may be shown to the application. */
  safe: number;
  readonly positions: Positions;
  /**
   * A device that did not know our stream was told its name, and may have taken that over: what it says next that it
   * has, says nothing of what it had before. Not remembered, so it is true at first. See `Deadlines`.
   */
  mayHaveForgotten = true;
  readonly #state: { -readonly [Key in keyof DeviceState]: DeviceState[Key] };
  #tellsHeard = false; // whether the state has what is noted; to look it up there would be dear
  #memos: Map<string, string> | undefined; // as soon as there is one
  readonly #journal: Journal;

  /** @param state What a store has of the device. From now on it belongs to the record. */
  constructor(readonly id: string, journal: Journal, state: DeviceState = newState()) {
    const { positions, sent, inbox, outbox, heard, deadLetters, memos } = state;
    const { duplicates } = this;
    for (const [id, noted] of heard) duplicates.restore(id, noted);
    this.#journal = journal;
    this.inbox = inbox;
    this.outbox = outbox;
    this.positions = positions;
    this.safe = inbox.length;
    this.#forgetBehind();
    // Properties of its own, not of a prototype: JSON and structuredClone take these only.
    this.#state = {
      positions,
      sent,
      inbox,
      outbox,
      heard: NONE,
      ...(deadLetters && { deadLetters }),
    };
    if (heard.length > 0) this.#tellHeard();
    if (memos && memos.length > 0) this.#keepMemos(memos);
  }

  /** An accessor of its own makes a dictionary of the object, 560 bytes: only devices of dialect 1 get one. */
  #tellHeard(): void {
    const { duplicates } = this;
    this.#tellsHeard = true;
    Object.defineProperty(this.#state, "heard", {
      get: () => allNoted(duplicates),
      enumerable: true,
      configurable: true,
    });
  }

  /** From now on there may be memos: only such devices pay for it, as in `#tellHeard`. */
  #keepMemos(known?: DeviceState["memos"]): Map<string, string> {
    const memos = this.#memos = new Map(known);
    Object.defineProperty(this.#state, "memos", {
      get: () => [...memos],
      enumerable: true,
      configurable: true,
    });
    return memos;
  }

  /** All that a store has to keep. It is alive. */
  get state(): DeviceState {
    return this.#state;
  }

  /** Number of the oldest message in the outbox, or of the next one. */
  get txFirst(): number {
    return this.outbox[0]?.seq ?? this.positions.txNext;
  }

  /** How many messages of the outbox, the oldest ones, may have been sent in dialect 2. */
  get sent(): number {
    return Math.max(0, this.positions.txSent - this.txFirst | 0);
  }

  /** All that is in the outbox may be sent in dialect 2 as soon as this is safe. */
  release(): void {
    const { txNext, txSent } = this.positions;
    if (txSent !== txNext) this.change({ txSent: txNext });
  }

  /** Changes what does not follow from the queues. */
  change(positions: Partial<Omit<Positions, "txNext" | "processed">>): void {
    Object.assign(this.positions, positions);
    this.#journal.changed();
  }

  receive(text: string): void {
    this.inbox.push(text);
    this.#journal.moved();
  }

  /** Notes what an id of dialect 1 carried. Returns whether that is new. */
  hear(id: number, text: string): boolean {
    if (!this.duplicates.note(id, text, this.positions.connects)) return false;
    if (!this.#tellsHeard) this.#tellHeard();
    this.#journal.heard(id);
    return true;
  }

  /** The oldest message of the inbox leaves it. Returns its text. */
  process(): string {
    const text = this.inbox.shift()!;
    this.safe--;
    this.positions.processed++;
    this.#journal.moved();
    return text;
  }

  /** Undoes `process`, which returned this text. Messages received since may stay. */
  unprocess(text: string): void {
    this.inbox.unshift(text);
    this.safe++;
    this.positions.processed--;
    this.#journal.moved();
  }

  /** The oldest message of the inbox becomes a dead letter. Returns its text. */
  bury(error: string, date: number): string {
    const number = this.positions.processed;
    const text = this.process();
    (this.#state.deadLetters ??= []).push({ number, text, error, date });
    return text;
  }

  /** A dead letter is one no more. @param revives It comes to the end of the inbox. */
  exhume(letter: DeadLetter, revives: boolean): void {
    this.#state.deadLetters = this.#state.deadLetters!.filter((other) => other !== letter);
    if (revives) this.inbox.push(letter.text);
    this.#journal.moved();
  }

  /** Small values that the layer above keeps of the device. It is alive. */
  get memos(): ReadonlyMap<string, string> {
    return this.#memos ?? NO_MEMOS;
  }

  /**
   * Keeps a small value of the layer above, in one commit with all else that changes. That layer bounds how many there
   * are, and how long; keys and texts are well-formed Unicode, as messages are.
   *
   * @param text undefined: it is kept no more
   */
  setMemo(key: string, text: string | undefined): void {
    const before = this.#memos?.get(key);
    if (text === before) return;
    if (text === undefined) this.#memos!.delete(key);
    else (this.#memos ?? this.#keepMemos()).set(key, text);
    this.#journal.kept(key, before);
  }

  write(
    text: string,
    { overtakes, qos, expires, from }: Manner,
    now: number,
  ): Outgoing {
    const { txNext } = this.positions;
    const message: Outgoing = {
      seq: txNext,
      id: undefined,
      text,
      overtakes,
      qos,
      written: now,
      expires,
      isDoubtful: false,
      ...(from !== undefined && { from }),
    };
    this.positions.txNext = (txNext + 1) >>> 0;
    this.#state.sent++;
    this.outbox.push(message);
    this.#journal.moved();
    return message;
  }

  /** Undoes the last `write`, before anything else was done with its message. */
  unwrite(): void {
    this.positions.txNext = this.outbox.pop()!.seq;
    this.#state.sent--;
    this.#journal.moved();
  }

  /** The oldest message of the outbox has arrived. */
  settle(): Outgoing {
    const message = this.outbox.shift()!;
    this.#forgetBehind();
    this.#journal.moved();
    return message;
  }

  /**
   * What was sent in dialect 1 leaves `txSent` behind the outbox. That means the same as its front, so it need not be
   * safe; but it must not fall so far behind that it would seem to be ahead.
   */
  #forgetBehind(): void {
    if (this.sent === 0) this.positions.txSent = this.txFirst;
  }

  /** Gives out the next id of dialect 1, to a message if there is one that needs it for a repetition. */
  giveId(message?: Outgoing): number {
    const id = this.positions.nextId;
    this.change({ nextId: id % 255 + 1 });
    if (message) {
      message.id = id;
      this.#journal.altered(message);
    }
    return id;
  }

  doubt(message: Outgoing): void {
    message.isDoubtful = true;
    this.#journal.altered(message);
  }

  /** Tells another process of an outcome, in the commit in which all else that changes becomes safe. */
  reply(to: string, outcome: Outcome): void {
    this.#journal.replied(to, outcome);
  }

  /** Undoes the last `reply`. */
  unreply(): void {
    this.#journal.unreplied();
  }

  withdraw(message: Outgoing): void {
    message.text = WITHDRAWN;
    this.#journal.altered(message);
  }
}

function allNoted(duplicates: DuplicateRecord): DeviceState["heard"] {
  const all: DeviceState["heard"] = [];
  for (let id = 0; id < 256; id++) {
    const noted = duplicates.noted(id);
    if (noted) all.push([id, noted]);
  }
  return all;
}

/** A random number that is not 0. */
export function randomEpoch(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! || 1;
}
