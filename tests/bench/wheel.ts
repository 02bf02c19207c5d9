/**
 * Does something for each of many members once in every interval, a few at a time, with one timer.
 *
 * @module
 */

/** How often the timer runs, in ms. */
const TICK_MS = 10;

export class Wheel<T> {
  #slots: Set<T>[];
  #next = 0; // slot of the next member
  #at: number; // ticks so far
  #start = performance.now();

  /**
   * @param visit Called for each member once in every `interval` ms.
   * @param ticked Called in every tick before the members are visited, with the ms since the last one.
   */
  constructor(
    interval: number,
    readonly visit: (member: T) => void,
    readonly ticked: (ms: number) => void = () => {},
  ) {
    this.#slots = Array.from({ length: Math.ceil(interval / TICK_MS) }, () => new Set());
    this.#at = 0;
    let last = this.#start;
    setInterval(() => {
      const now = performance.now();
      ticked(now - last);
      last = now;
      this.#turn(Math.floor((now - this.#start) / TICK_MS));
    }, TICK_MS);
  }

  /** If it is late, it visits all members that are due at once, but none twice. */
  #turn(to: number): void {
    const { length } = this.#slots;
    for (let at = Math.max(this.#at, to - length); at < to; at++) {
      for (const member of this.#slots[at % length]!) this.visit(member);
    }
    this.#at = to;
  }

  add(member: T): void {
    this.#slots[this.#next++ % this.#slots.length]!.add(member);
  }

  delete(member: T): void {
    for (const slot of this.#slots) slot.delete(member);
  }
}
