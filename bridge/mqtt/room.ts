/**
 * Limits what waits for the broker. It counts in memory what is added and what is done; that count can only be too
 * high, because it includes states that replace another and transactions that fail. If the room seems full, it counts
 * in the store. Transactions under way are not counted there: so each device may exceed the limit by one message, and
 * those that share a transaction, as they do while at least half of the room is free, by half of it.
 */
import type { Amount } from "./rows.ts";

export class Room {
  readonly #most: Amount;
  readonly #count: () => Promise<Amount>;
  readonly #told: (isFull: boolean) => void;
  readonly #window: () => number;
  #rows = 0;
  #bytes = 0;
  /** Publications in the store at the last count that are not done since. Each that is done wakes the waiters. */
  #stored = 0;
  readonly #states = new Map<string, number>(); // states that are known to wait, with their bytes
  #counting: Promise<void> | undefined;
  #isFull = false;
  #freed = Promise.withResolvers<void>();

  /**
   * @param count Counts what is in the store.
   * @param told Called when a caller starts to wait, and when none waits any more.
   * @param window If no more than this are under way, what is added is sent at once; 0: it waits.
   */
  constructor(
    most: Amount,
    count: () => Promise<Amount>,
    told: (isFull: boolean) => void,
    window: () => number,
  ) {
    this.#most = most;
    this.#count = count;
    this.#told = told;
    this.#window = window;
  }

  /**
   * Waits until there is room, and takes it.
   *
   * @param state The topic, if a newer value replaces one that waits: then it needs no room.
   * @returns the window at that time
   * @throws what counting throws
   */
  async take(bytes: number, state?: string): Promise<number> {
    while (this.#lacks(bytes, state)) {
      const { promise } = this.#freed;
      await this.count();
      // Failing transactions may hold the room, and these would wake no waiter.
      if (!this.#lacks(bytes, state) || this.#stored === 0) break;
      this.#tell(true);
      await promise;
    }
    return this.add(bytes, state);
  }

  /** Whether there is room according to the count, which may be too high. */
  has(bytes: number): boolean {
    if (!this.#lacks(bytes)) return true;
    this.count().catch(() => {}); // the server was closed
    return false;
  }

  /** Whether at least half of it is free. */
  get isHalfEmpty(): boolean {
    return this.#rows * 2 <= this.#most.rows && this.#bytes * 2 <= this.#most.bytes;
  }

  /** Counts what is in the store. */
  count(): Promise<void> {
    return this.#counting ??= this.#recount();
  }

  /** Takes room, even if there is none. @param state As for `take`. @returns the window */
  add(bytes: number, state?: string): number {
    const window = this.#window();
    const waits = state !== undefined && window === 0;
    const before = waits ? this.#states.get(state) : undefined;
    if (waits) this.#states.set(state, bytes);
    this.#bytes += bytes - (before ?? 0);
    if (before === undefined) this.#rows++;
    return window;
  }

  /** Waiting states may be sent from now on: a newer value then gets its own row. */
  moves(): void {
    this.#states.clear();
  }

  /** Publications are done. */
  free(bytes: number, rows = 1): void {
    this.#stored = Math.max(0, this.#stored - rows);
    this.#set(this.#rows - rows, this.#bytes - bytes);
  }

  /** Replaces the count. */
  settle({ rows, bytes }: Amount): void {
    this.#stored = rows;
    this.#set(rows, bytes);
  }

  /** The count, which may be too high. */
  get amount(): Amount {
    return { rows: this.#rows, bytes: this.#bytes };
  }

  #set(rows: number, bytes: number): void {
    this.#rows = Math.max(0, rows);
    this.#bytes = Math.max(0, bytes);
    this.#tell(false);
    this.#freed.resolve();
    this.#freed = Promise.withResolvers();
  }

  /** A publication that alone is too large is accepted when there is nothing else. */
  #lacks(bytes: number, state?: string): boolean {
    if (this.#rows === 0 || (state !== undefined && this.#states.has(state))) return false;
    return this.#rows >= this.#most.rows || this.#bytes + bytes > this.#most.bytes;
  }

  async #recount(): Promise<void> {
    try {
      const { rows, bytes } = await this.#count();
      this.#rows = this.#stored = rows;
      this.#bytes = bytes;
    } finally {
      this.#counting = undefined;
    }
  }

  #tell(isFull: boolean): void {
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#told(isFull);
  }
}
