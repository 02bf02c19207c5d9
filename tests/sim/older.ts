/**
 * Checks that the server reports a store that is older than what a device was told, and reports nothing of the kind
 * otherwise. It is known here from what was told, not from the positions in the greeting.
 */
import type { Rows } from "./disk.ts";
import { type Stream } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** A store that takes the place of another one. */
export interface Replacement {
  /** When it was copied, in ms. */
  madeAt: number;
  /** What the lost one held of the device, and what this one holds. */
  before: Rows | undefined;
  found: Rows | undefined;
}

export class OlderStore {
  /** The device knows that the store lacks what it sent, or what it took. */
  #sent = false;
  #taken = false;
  /** The store has never confirmed the device, so that it cannot know the streams that its own welcomes have named. */
  #isNew = false;
  /** The device has taken a welcome, and the server does not know it yet. */
  #isWelcomed = false;
  #replacements = 0;
  #memory = 0;

  constructor(readonly id: string) {}

  /** How often the device has lost its position. */
  get memory(): number {
    return this.#memory;
  }

  /** Whether a store has taken the place of another one. */
  get isReplaced(): boolean {
    return this.#replacements > 0;
  }

  /** @param knows It will come back with its position, and use it. */
  deviceDied(knows: boolean): void {
    this.#sent = false; // what it was told of its earlier stream dies with it
    if (knows) return;
    this.#taken = false;
    this.#memory++;
  }

  /**
   * @param boot Of the device that lives now.
   * @param up What it has written.
   * @param down What was written to it.
   */
  replaced(
    { madeAt, before, found }: Replacement,
    boot: number,
    up: readonly Stream[],
    down: Stream,
  ): void {
    this.#sent = this.#taken = this.#isWelcomed = false;
    this.#isNew = found?.positions.connects === 0;
    // Where several stores have taken turns, nobody need find out which of them told what.
    if (this.#replacements++ > 0 || !found || !before) return;
    const { positions } = found;
    if (positions.rxEpoch === before.positions.rxEpoch) {
      this.#sent = up.some(({ messages }) =>
        messages.some(({ epoch, told, safe, safeAt }) =>
          epoch === boot && told && safe && safeAt > madeAt
        )
      );
    }
    if (positions.txEpoch === before.positions.txEpoch) {
      this.#taken = down.messages.some(({ seen, settled, dropped, safeAt, memory }) =>
        seen > 0 && settled && !dropped && safeAt > madeAt && memory === this.#memory
      );
    }
  }

  /** The store has forgotten the device: it knows nothing that could be older than what the device was told. */
  forgotten(): void {
    this.#sent = this.#taken = this.#isWelcomed = false;
    this.#isNew = true;
  }

  /** A message has expired. Numbers that the device knows of the lost store may have gone to such, and be passed over. */
  expired(): void {
    this.#taken = false;
  }

  /** The device has a link: from now on it goes by the stream that the welcome has named. */
  welcomed(): void {
    // The welcome before this one was never confirmed. It showed what the device has, and nothing proved it.
    if (this.#isNew && this.#isWelcomed) this.#taken = false;
    this.#isWelcomed = true;
  }

  /** The server has said it. */
  said(): void {
    if (this.#replacements === 0) {
      throw new Violation(`${this.id}: the store is said to be old, and it is the only one`);
    }
    this.#sent = this.#taken = false;
  }

  /** The device was let in. If there is something to be said, it was. */
  admitted(): void {
    this.#isNew = this.#isWelcomed = false;
    if (this.#sent) {
      throw new Violation(`${this.id}: nobody says that the store lacks what it sent`);
    }
    if (this.#taken) {
      throw new Violation(`${this.id}: nobody says that the store is older than what it took`);
    }
  }
}
