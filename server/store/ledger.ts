/**
 * Tracks what the store has of one device's record, and writes the difference to the store.
 *
 * It does not collect changes, but compares: a message that has come and gone between two commits leaves no trace,
 * undone changes are not written, and after a failed commit the next one writes just what is missing then.
 */
import {
  type DeadLetter,
  DeviceRecord,
  type DeviceState,
  type Journal,
  type Outgoing,
  WAITS,
  WITHDRAWN,
} from "../link/record.ts";
import { failure, type Outcome } from "../link/outcome.ts";
import { LocalError } from "../protocol/errors.ts";
import type { MailChange, Reply } from "./fleet.ts";
import type { Acquired, Change, RowWriter } from "./store.ts";

/** Number of ids in dialect 1. */
const IDS = 256;

const NO_LETTERS: readonly DeadLetter[] = [];

/** The error for callers that wait for a device that is removed. */
export const FORGOTTEN = new LocalError("FORGOTTEN", "the device was forgotten");

export class Ledger implements Change, Journal {
  readonly record: DeviceRecord;
  readonly token: number;
  #looks: number; // see `Look.looks`
  readonly #changed: Set<Ledger>;
  #entered = false;
  #known: boolean; // whether the store knows the device
  // The range of numbers of the messages that the store has, without the end.
  #inboxFirst: number;
  #inboxEnd: number;
  #outboxFirst: number;
  #outboxEnd: number;
  #positions = false; // whether they have changed
  #altered: Set<Outgoing> | undefined; // messages that the store has in an older form
  #heard: Uint8Array | undefined; // 1 for each id that must be written
  #heardAny = false;
  #forgotten = false;
  #letters: readonly DeadLetter[]; // those that the store has
  #memos: Map<string, string | undefined> | undefined; // memos that differ, as the store has them
  #mail: Set<number> | undefined; // numbers of mail whose rows are deleted
  #replies: Reply[] | undefined; // replies to be written
  #checks = 0; // how many transactions want its token checked in this commit
  #removed = false;
  #gone = false; // whether the record is dead: its removal is safe, or another process has the device

  /**
   * @param acquired Its state belongs to the record from now on.
   * @param changed The ledger adds itself to this set when something changes; it relies on being there until
   * `committed`.
   * @param fresh Initial state of a device that the store does not know, with empty queues; for tests that begin near a
   * wrap.
   */
  constructor(
    readonly id: string,
    { state, token, looks = 0 }: Acquired,
    changed: Set<Ledger>,
    fresh?: DeviceState,
  ) {
    this.token = token;
    this.#looks = looks;
    this.#changed = changed;
    this.#known = state !== undefined;
    this.record = new DeviceRecord(id, this, state ?? fresh);
    this.#inboxFirst = this.#processed;
    this.#inboxEnd = this.#received;
    this.#outboxFirst = this.#settled;
    this.#outboxEnd = this.record.state.sent;
    this.#letters = this.#lettersNow.length > 0 ? [...this.#lettersNow] : NO_LETTERS;
  }

  /** Whether the store is known to have a message. */
  hasStored({ seq }: Outgoing): boolean {
    return (seq - this.#outboxEnd | 0) < 0;
  }

  /** Whether the store knows the device. */
  get isKnown(): boolean {
    return this.#known;
  }

  /**
   * If other processes have looked at it, the device may have greeted one of them since, and learned its stream's
   * epoch.
   */
  looked(looks: number): void {
    if (looks !== this.#looks) this.record.mayHaveForgotten = true;
    this.#looks = looks;
  }

  /** This process looked at the device before it knew that it had it: if that look is the next one, nobody else has. */
  lookedItself(looks: number): void {
    if (looks === this.#looks + 1) this.#looks = looks;
  }

  /** The record's whole state. It is a live object. */
  get state(): DeviceState {
    return this.record.state;
  }

  get #processed(): number {
    return this.record.positions.processed;
  }

  get #received(): number {
    return this.record.positions.processed + this.record.inbox.length;
  }

  get #settled(): number {
    return this.record.state.sent - this.record.outbox.length;
  }

  get #lettersNow(): readonly DeadLetter[] {
    return this.record.state.deadLetters ?? NO_LETTERS;
  }

  /** Whether the dead letters have changed: each stays the same object as long as it exists. */
  get #lettersDiffer(): boolean {
    const now = this.#lettersNow;
    if (now.length !== this.#letters.length) return true;
    return now.length > 0 && now.some((it, i) => it !== this.#letters[i]);
  }

  /** Whether the store must forget the device. */
  get removed(): boolean {
    return this.#removed;
  }

  remove(): void {
    this.#removed = true;
    this.#enter();
  }

  /** Undoes `remove`. */
  keep(): void {
    this.#removed = false;
  }

  /** Whether there is anything to write. If everything was undone, there is not. */
  get differs(): boolean {
    if (this.#removed) return this.#known;
    if (this.#checks > 0 && this.#known) return true;
    if (this.#replies !== undefined && this.#replies.length > 0) return true;
    return this.#rowDiffers || this.#inboxEnd !== this.#received ||
      this.#outboxFirst !== this.#settled || (this.#altered?.size ?? 0) > 0 || this.#heardAny ||
      this.#lettersDiffer || this.#memosDiffer || (this.#mail?.size ?? 0) > 0;
  }

  get #memosDiffer(): boolean {
    return this.#memos !== undefined && this.#memos.size > 0;
  }

  get #rowDiffers(): boolean {
    return this.#positions || this.#inboxFirst !== this.#processed ||
      this.#outboxEnd !== this.record.state.sent;
  }

  /** Another process has the device: changes of the record are not written any more. */
  lost(): void {
    this.#gone = true;
  }

  /** Makes the commit fail if another process has the device, even if nothing of it has changed. */
  check(): void {
    this.#checks++;
    this.#enter();
  }

  /** Undoes `check`. */
  uncheck(): void {
    this.#checks--;
  }

  /** This commit carries out a piece of mail. @param number Number of the mail */
  takeMail(number: number): void {
    (this.#mail ??= new Set()).add(number);
    this.#enter();
  }

  /** Undoes `takeMail`. */
  leaveMail(number: number): void {
    this.#mail!.delete(number);
  }

  replied(to: string, outcome: Outcome): void {
    (this.#replies ??= []).push({ to, text: JSON.stringify(outcome) });
    this.#enter();
  }

  unreplied(): void {
    this.#replies!.pop();
  }

  get mail(): MailChange | undefined {
    const replies = this.#removed ? [...this.#replies ?? [], ...this.#farewells()] : this.#replies;
    if (!this.#mail && !replies) return undefined;
    return { taken: [...this.#mail ?? []], replies: replies ?? [] };
  }

  /**
   * Replies for the writers of messages that are forgotten with the device, and for others who wait for something of
   * it.
   */
  *#farewells(): Iterable<Reply> {
    const text = JSON.stringify(failure(FORGOTTEN));
    for (const { from, text: message } of this.record.outbox) {
      if (from !== undefined && message !== WITHDRAWN) yield { to: from, text };
    }
    for (const key of this.record.memos.keys()) {
      if (key.startsWith(WAITS)) yield { to: key.slice(WAITS.length), text };
    }
  }

  moved(): void {
    this.#enter();
  }

  changed(): void {
    this.#positions = true;
    this.#enter();
  }

  altered(message: Outgoing): void {
    const isNew = !this.hasStored(message);
    if (!isNew) (this.#altered ??= new Set()).add(message);
    this.#enter();
  }

  heard(id: number): void {
    this.#heardAny = true;
    const heard = this.#heard ??= new Uint8Array(IDS);
    heard[id] = 1;
    // It may have made other ids forgotten: those that are left are written again.
    if (id === 0) this.#forgotten = true;
    this.#enter();
  }

  kept(key: string, before: string | undefined): void {
    const memos = this.#memos ??= new Map();
    if (!memos.has(key)) memos.set(key, before);
    else if (memos.get(key) === this.record.memos.get(key)) memos.delete(key); // it is unchanged again
    this.#enter();
  }

  #enter(): void {
    if (this.#entered || this.#gone) return;
    this.#entered = true;
    this.#changed.add(this);
  }

  /** Writes what differs. The commit may still fail: `committed` is called if it has not. */
  write(rows: RowWriter): void {
    if (!this.differs || this.#removed) return;
    if (this.#rowDiffers || !this.#known) {
      rows.positions(this.record.positions, this.record.state.sent);
    }
    if (this.#lettersDiffer) this.#writeLetters(rows);
    this.#writeInbox(rows);
    this.#writeOutbox(rows);
    if (this.#heardAny) this.#writeHeard(rows);
    if (this.#memosDiffer) this.#writeMemos(rows);
  }

  #writeInbox(rows: RowWriter): void {
    const first = this.#processed;
    const end = this.#received;
    if (first > this.#inboxFirst && this.#inboxEnd > this.#inboxFirst) rows.processed(first);
    for (let number = Math.max(first, this.#inboxEnd); number < end; number++) {
      rows.received(number, this.record.inbox[number - first]!);
    }
  }

  #writeOutbox(rows: RowWriter): void {
    const { outbox, txFirst, state: { sent } } = this.record;
    const first = sent - outbox.length;
    if (first > this.#outboxFirst && this.#outboxEnd > this.#outboxFirst) rows.settled(first);
    for (const message of this.#altered ?? []) {
      const index = message.seq - txFirst >>> 0;
      if (outbox[index] === message) rows.written(first + index, message); // otherwise it has left the outbox
    }
    for (let number = Math.max(first, this.#outboxEnd); number < sent; number++) {
      rows.written(number, outbox[number - first]!);
    }
  }

  #writeHeard(rows: RowWriter): void {
    if (this.#forgotten) rows.forgotten();
    for (let id = 0; id < IDS; id++) {
      if (!this.#forgotten && this.#heard![id] === 0) continue;
      const noted = this.record.duplicates.noted(id);
      if (noted) rows.heard(id, noted);
    }
  }

  #writeLetters(rows: RowWriter): void {
    const now = new Set(this.#lettersNow);
    const before = new Set(this.#letters);
    for (const letter of before) if (!now.has(letter)) rows.deadLetterRemoved(letter.number);
    for (const letter of now) if (!before.has(letter)) rows.deadLetterAdded(letter);
  }

  #writeMemos(rows: RowWriter): void {
    const { memos } = this.record;
    for (const key of this.#memos!.keys()) rows.memo(key, memos.get(key));
  }

  /** The present record is safe. Must be called after a commit, before anything changes. */
  committed(): void {
    this.#gone = this.#removed;
    // The store knows a device only if there was anything to write.
    if (!this.#known) this.#known = this.differs;
    this.#entered = this.#positions = false;
    this.#inboxFirst = this.#processed;
    this.#inboxEnd = this.#received;
    this.#outboxFirst = this.#settled;
    this.#outboxEnd = this.record.state.sent;
    this.#altered = this.#memos = this.#mail = undefined;
    this.#replies = undefined;
    this.#checks = 0;
    if (this.#heardAny) {
      this.#heardAny = this.#forgotten = false;
      this.#heard!.fill(0);
    }
    if (this.#lettersDiffer) this.#letters = [...this.#lettersNow];
    this.record.safe = this.#removed ? 0 : this.record.inbox.length;
  }
}
