import { FIRMWARE } from "../protocol/lines.ts";
import { DuplicateRecord, type Noted } from "./duplicates.ts";
import type { Outcome } from "./outcome.ts";

/** A message to a device. */
export interface Outgoing {
  /** Its number in the stream of messages to this device, used by dialect 2. */
  readonly seq: number;
  /** Its id in dialect 1, 0 to 255; assigned when it is first sent in that dialect. */
  id: number | undefined;
  /** "\0" if it was withdrawn: only its number counts. */
  text: string;
  /** Whether, in dialect 1, it may be sent before the messages ahead of it are acknowledged. */
  readonly overtakes: boolean;
  /** If false, it is withdrawn when the connection ends. */
  readonly qos: boolean;
  /** When it was accepted, in ms on the process's monotonic clock; negative: by an earlier process. */
  readonly written: number;
  /** Its deadline on that clock; undefined: it is sent until it has arrived. */
  readonly expires: number | undefined;
  /** Whether the device may have it, but cannot say so any more. Only set for a message with a deadline. */
  isDoubtful: boolean;
  /** If another process wrote it, where to report the outcome. Stored with the message. */
  readonly from?: string;
}

/** How to send a message. */
export interface Manner extends Pick<Outgoing, "overtakes" | "qos"> {
  /** See `Outgoing`. */
  readonly expires?: number;
  /** See `Outgoing`. */
  readonly from?: string;
}

/** A message from a device with which its application has failed repeatedly. */
export interface DeadLetter {
  /** Its number among all messages from the device, from 0. */
  readonly number: number;
  /** Its text. */
  readonly text: string;
  /** The application's error, its first 200 characters. */
  readonly error: string;
  /** When it was set aside, in ms since 1970. */
  readonly date: number;
}

/** Text of a message that was withdrawn. */
export const WITHDRAWN = "\0";

/**
 * Prefix of memo keys: another process waits for an outcome that concerns the device. The rest of the key is where to
 * report it, as `Outgoing.from`, also if the device is forgotten.
 */
export const WAITS = ">";

/** Whether it is an application's message that was not withdrawn. */
export function isOfApplication({ text }: Outgoing): boolean {
  return text !== WITHDRAWN && !text.startsWith(FIRMWARE);
}

/** Receives every change of a record, so that a store need only write the difference. */
export interface Journal {
  /** A message has entered or left a queue. */
  moved(): void;
  /** A position, an epoch or a counter changed. */
  changed(): void;
  /** A message in the outbox was given an id, became doubtful or was withdrawn. */
  altered(message: Outgoing): void;
  /** In dialect 1, the text of an id was noted; with id 0, other ids may have been forgotten. */
  heard(id: number): void;
  /** A memo has changed. @param before Its old value; undefined: there was no memo. */
  kept(key: string, before: string | undefined): void;
  /** Another process must be told an outcome. @param to Where: its `Outgoing.from` */
  replied(to: string, outcome: Outcome): void;
  /** Undoes the last `replied`. */
  unreplied(): void;
}

/** A journal for records that are only read. */
export const NOWHERE: Journal = {
  moved() {},
  changed() {},
  altered() {},
  heard() {},
  kept() {},
  replied() {},
  unreplied() {},
};

/** The state of a record besides its queues. */
export interface Positions {
  /** Epoch of the stream of messages to the device; new when that stream was lost. 32 bits. */
  txEpoch: number;
  /** Number of the next message to the device. 32 bits. */
  txNext: number;
  /** Number of the first message to the device that cannot have been sent in dialect 2. 32 bits. */
  txSent: number;
  /** Dialect 1's id of the next message; 0 only for the first: it tells the device that nothing is
   * remembered. */
  nextId: number;
  /** Epoch of the device's own stream; 0 if unknown. */
  rxEpoch: number;
  /** Number of the next message from the device. 32 bits. */
  rxNext: number;
  /** How often the device has connected. */
  connects: number;
  /** How many messages have left the inbox, which is the number of the oldest in it. */
  processed: number;
}

/** All that is stored of one device. */
export interface DeviceState {
  /** The state that does not follow from the queues. */
  readonly positions: Positions;
  /** Messages ever written to the device. Unlike `positions.txNext`, which has its low 32 bits, it does not wrap. */
  readonly sent: number;
  /** Messages from the device that are not processed; oldest first. */
  readonly inbox: string[];
  /** Messages to the device that are not acknowledged; oldest first. */
  readonly outbox: Outgoing[];
  /** Ids of dialect 1, with the record of each. */
  readonly heard: [id: number, noted: Noted][];
  /** Dead letters; oldest first. Missing or empty: there are none. */
  readonly deadLetters?: DeadLetter[];
  /** Small values that the layer above keeps, in any order. Missing or empty: there are none. */
  readonly memos?: [key: string, text: string][];
}

const NONE: [number, Noted][] = [];

const NO_MEMOS: ReadonlyMap<string, string> = new Map();

/** State of a new device; for tests, of one to which this many messages were written. */
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

/** Everything remembered about one device. It changes only through its methods. */
export class DeviceRecord {
  /** Received, not yet processed by the application; oldest first. */
  readonly inbox: string[];
  /** Accepted from the application, not yet acknowledged by the device; oldest first. */
  readonly outbox: Outgoing[];
  /** What the device last sent in dialect 1, to recognise repeats. */
  readonly duplicates = new DuplicateRecord();
  /** How many messages of the inbox are safe in the store, and may be shown to the application. */
  safe: number;
  readonly positions: Positions;
  /**
   * Whether a device that did not know our stream may have adopted its epoch from a welcome: then the next position
   * that it sends says nothing about what it had before. Not stored, so it is true at first. See `Deadlines`.
   */
  mayHaveForgotten = true;
  readonly #state: { -readonly [Key in keyof DeviceState]: DeviceState[Key] };
  #tellsHeard = false; // whether the state has `heard`; looking that up would be expensive
  #memos: Map<string, string> | undefined; // as soon as there is one
  readonly #journal: Journal;

  /** @param state The stored state of the device. From now on it belongs to the record. */
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
    // Own properties, not a prototype's: JSON and structuredClone copy only these.
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

  /** An own accessor turns the object into a dictionary, 560 bytes: only devices of dialect 1 get one. */
  #tellHeard(): void {
    const { duplicates } = this;
    this.#tellsHeard = true;
    Object.defineProperty(this.#state, "heard", {
      get: () => allNoted(duplicates),
      enumerable: true,
      configurable: true,
    });
  }

  /** Prepares for memos; only devices that have some pay for it, as in `#tellHeard`. */
  #keepMemos(known?: DeviceState["memos"]): Map<string, string> {
    const memos = this.#memos = new Map(known);
    Object.defineProperty(this.#state, "memos", {
      get: () => [...memos],
      enumerable: true,
      configurable: true,
    });
    return memos;
  }

  /** Everything that a store has to keep. It is a live object. */
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

  /** Lets dialect 2 send the whole outbox as soon as this is safe. */
  release(): void {
    const { txNext, txSent } = this.positions;
    if (txSent !== txNext) this.change({ txSent: txNext });
  }

  /** Changes the state that does not follow from the queues. */
  change(positions: Partial<Omit<Positions, "txNext" | "processed">>): void {
    Object.assign(this.positions, positions);
    this.#journal.changed();
  }

  receive(text: string): void {
    this.inbox.push(text);
    this.#journal.moved();
  }

  /** Notes the text of an id of dialect 1. Returns whether the message is new. */
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
  addDeadLetter(error: string, date: number): string {
    const number = this.positions.processed;
    const text = this.process();
    (this.#state.deadLetters ??= []).push({ number, text, error, date });
    return text;
  }

  /** Removes a dead letter. @param revives Whether it goes to the end of the inbox. */
  removeDeadLetter(letter: DeadLetter, revives: boolean): void {
    this.#state.deadLetters = this.#state.deadLetters!.filter((other) => other !== letter);
    if (revives) this.inbox.push(letter.text);
    this.#journal.moved();
  }

  /** Small values that the layer above keeps for the device. It is a live object. */
  get memos(): ReadonlyMap<string, string> {
    return this.#memos ?? NO_MEMOS;
  }

  /**
   * Keeps a small value of the layer above, in one commit with all other changes. That layer bounds their number and
   * length; keys and texts are well-formed Unicode, like messages.
   *
   * @param text undefined: removes it
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
   * Messages sent in dialect 1 leave `txSent` behind the outbox. That means the same as the outbox's front, so it
   * need not be safe; but it must not fall so far behind that, wrapped, it would seem to be ahead.
   */
  #forgetBehind(): void {
    if (this.sent === 0) this.positions.txSent = this.txFirst;
  }

  /** Assigns the next id of dialect 1, to a message if it may have to be repeated. */
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

  /** Reports an outcome to another process, in the same commit as all other changes. */
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
