/**
 * Checks that the server reports a store that is older than what a device was told, and only then. It decides this from
 * the acks, not from the positions in the greeting.
 */
import type { Rows } from "./disk.ts";
import { type Stream } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** A store that replaces another one. */
export interface Replacement {
  /** When it was copied, in ms. */
  madeAt: number;
  /** The device's rows in the lost store, and in this one. */
  before: Rows | undefined;
  found: Rows | undefined;
}

export class OlderStore {
  /** The device knows that the store lacks messages that it sent, or that it took. */
  #sent = false;
  #taken = false;
  /** The store has never confirmed the device, so it cannot know the streams named in its own welcomes. */
  #isNew = false;
  /** The device has taken a welcome, and the server does not know it yet. */
  #isWelcomed = false;
  /** The store has forgotten the device, and has not admitted it in dialect 2 since: it may come with an old stream. */
  #isForgotten = false;
  #replacements = 0;
  #memory = 0;

  constructor(readonly id: string) {}

  /** How often the device has lost its position. */
  get memory(): number {
    return this.#memory;
  }

  /** Whether a store was replaced. */
  get isReplaced(): boolean {
    return this.#replacements > 0;
  }

  /** @param knows Whether it will come back with its position. */
  deviceDied(knows: boolean): void {
    this.#sent = false; // the acks for its earlier stream are lost with it
    if (knows) return;
    this.#taken = false;
    this.#memory++;
  }

  /**
   * @param boot The device's current boot.
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
    // If several stores have replaced each other, nobody needs to find out which one sent which ack.
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

  /** The store has forgotten the device, so it has nothing that could be too old. */
  forgotten(): void {
    this.#sent = this.#taken = this.#isWelcomed = false;
    this.#isNew = this.#isForgotten = true;
  }

  /** A message has expired. The store may have reused numbers that the device knows for such messages. */
  expired(): void {
    this.#taken = false;
  }

  /** The device has a link: from now on it uses the stream named in the welcome. */
  welcomed(): void {
    // The previous welcome was never confirmed, so what its hello showed was never proven.
    if (this.#isNew && this.#isWelcomed) this.#taken = false;
    this.#isWelcomed = true;
  }

  /** The server has reported that its store is old. */
  said(): void {
    if (this.#replacements === 0 && !this.#isForgotten) {
      throw new Violation(`${this.id}: the store is said to be old, and it is the only one`);
    }
    this.#sent = this.#taken = false;
  }

  /** The device was admitted in dialect 2: it and the store know the same streams. */
  shares(): void {
    this.#isForgotten = false;
  }

  /** The device was admitted. If there is something to report, it must have been reported. */
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
