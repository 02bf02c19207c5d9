/**
 * Drops events that have waited too long for the broker: a button pressed a week ago should switch nothing today.
 * States are kept, as there is only the newest of each. The number is logged at the first drop, and when the broker is
 * back, so the log stays short however long that takes.
 */
import type { Transaction } from "../../server/mod.ts";
import { type Clock, LONGEST_TIMER } from "../../server/transport/platform.ts";
import type { Room } from "./room.ts";
import { type GivenUp, giveUp, takeGivenUp } from "./rows.ts";
import type { Counters } from "./state.ts";

/** What it needs from the bridge. */
export interface AgeHost {
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void>;
  readonly room: Room;
  readonly counters: Counters;
  warn(code: string, message: string): void;
}

export class AgeBound {
  readonly #clock: Clock;
  readonly #maxAge: number;
  readonly #host: AgeHost;
  #cancel = () => {};
  #isClosed = false;
  #told = 0;
  #given = 0;

  /** @param maxAge In ms. Nothing is dropped before `start`. */
  constructor(clock: Clock, maxAge: number, host: AgeHost) {
    this.#clock = clock;
    this.#maxAge = maxAge;
    this.#host = host;
  }

  /** Drops what is too old now, and from now on what becomes too old. */
  async start(): Promise<void> {
    const { transaction } = this.#host;
    const isBound = this.#maxAge < Infinity;
    if (isBound) await transaction((tx) => giveUp(tx, this.#clock.date() - this.#maxAge));
    // Also what a killed server has left.
    let taken!: GivenUp;
    await transaction(async (tx) => void (taken = await takeGivenUp(tx)));
    this.#gaveUp(taken);
    if (!isBound || this.#isClosed) return;
    // What is added later cannot be too old before then.
    const now = this.#clock.date();
    const wait = Math.max(1, (taken.oldestEvent ?? now) + this.#maxAge - now);
    this.#cancel = this.#clock.after(Math.min(wait, this.#maxAge, LONGEST_TIMER), () => {
      this.start().catch(() => {}); // the server was closed
    });
  }

  /** The broker accepts publications again. */
  over(): void {
    if (this.#given > this.#told) {
      this.#host.warn("NOT_PUBLISHED", `${this.#given} events were dropped in all`);
    }
    this.#given = this.#told = 0;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  #gaveUp({ rows, bytes, oldest }: GivenUp): void {
    if (rows === 0) return;
    const { room, counters } = this.#host;
    room.free(bytes, rows);
    counters.givenUp += rows;
    counters.oldest = oldest;
    this.#given += rows;
    if (this.#told > 0) return;
    this.#told = rows;
    const message =
      `${rows} events that have waited longer than ${this.#maxAge} ms were dropped, ` +
      "and later ones will be until the broker takes some; the log will say how many";
    this.#host.warn("NOT_PUBLISHED", message);
  }
}
