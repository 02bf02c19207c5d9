/**
 * Thousands of deadlines on one timer. Most deadlines of a connection are postponed many times before they expire
 * (each byte that arrives postpones the one for silence), so that has to cost next to nothing.
 *
 * A hierarchical timing wheel (Varghese and Lauck, 1987). Time is counted in ticks. Level 0 has a slot for each tick
 * of the current block of 32, level 1 one for each block of the current 32 × 32 ticks, and so on: an entry is in the
 * lowest level whose current block has its tick. When a slot's first tick comes, its entries are due, or move to a
 * lower level. All slots in use at a level are later than the current one, and all of a level are later than those of
 * the levels below, so the next slot is the first one of the lowest level that has any.
 *
 * An entry that is postponed stays in its slot, and is moved when that slot's time comes.
 */
import type { Clock } from "./platform.ts";

/** Slots of a level; an integer has a bit for each. */
const SLOTS = 32;

/** Enough levels for any time that a number can represent. */
const LEVELS = 10;

/** Ticks of a slot at each level, and at one level more. */
const SPAN = Array.from({ length: LEVELS + 1 }, (_, level) => SLOTS ** level);

/** A deadline. */
export interface WheelEntry {
  /** Whether it is set. */
  readonly armed: boolean;
  /**
   * Sets or moves it, also from within `run`.
   *
   * @param time On the clock. A past time expires within a tick; Infinity never does.
   */
  at(time: number): void;
  /** Clears it. */
  clear(): void;
}

/** A node of a circular list: an entry, or the head of a list. */
class Place {
  previous: Place = this;
  next: Place = this;
}

/** The entries of a slot. */
class Slot extends Place {
  constructor(readonly level: number, readonly index: number) {
    super();
  }

  get isEmpty(): boolean {
    return this.next === this;
  }
}

class Entry extends Place implements WheelEntry {
  /** When it is due. */
  time = Infinity;
  /** If moved to this time or later, it can stay in its slot, which is checked by then. */
  looked = -Infinity;
  /** Its slot. */
  slot: Slot | undefined;

  constructor(readonly wheel: TimerWheel, readonly run: () => void) {
    super();
  }

  get armed(): boolean {
    return this.slot !== undefined;
  }

  at(time: number): void {
    if (this.slot !== undefined && time >= this.looked && time !== Infinity) this.time = time;
    else this.wheel.move(this, time);
  }

  clear(): void {
    if (this.slot !== undefined) this.wheel.move(this, Infinity);
  }
}

/** Calls each entry's function when its time has come: never early, and at most a tick late. */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #tick: number;
  /** The time of tick 0. */
  readonly #start: number;
  /** All slots of ticks up to this one were checked. */
  #passed = 0;
  readonly #slots: Slot[] = [];
  /** A bit for each slot of a level that has entries. */
  readonly #used: number[] = Array(LEVELS).fill(0);
  /** All entries that are due now. */
  readonly #due = new Slot(-1, 0);
  #advancing = false;
  /** Cancels the timer. */
  #forget: (() => void) | undefined;
  /** The tick for which the timer was set. */
  #wake = Infinity;

  /** @param tickMs How late an entry may come, in ms. */
  constructor(clock: Clock, tickMs: number) {
    this.#clock = clock;
    this.#tick = tickMs;
    this.#start = clock.now();
    for (let level = 0; level < LEVELS; level++) {
      for (let index = 0; index < SLOTS; index++) this.#slots.push(new Slot(level, index));
    }
  }

  /** Makes a deadline that is not set yet. @param run Called when it expires. If it throws, nothing else stops. */
  entry(run: () => void): WheelEntry {
    return new Entry(this, run);
  }

  /** Called by entries only. @param time Infinity: removes it */
  move(entry: Entry, time: number): void {
    if (entry.slot !== undefined) this.#remove(entry);
    if (time !== Infinity) {
      entry.time = time;
      this.#insert(entry);
    }
    if (!this.#advancing) this.#setTimer();
  }

  /** The last tick that has passed at a time. */
  #ticks(time: number): number {
    const tick = Math.floor((time - this.#start) / this.#tick);
    // The division may have rounded.
    if (this.#timeOf(tick) > time) return tick - 1;
    return this.#timeOf(tick + 1) > time ? tick : tick + 1;
  }

  #timeOf(tick: number): number {
    return this.#start + tick * this.#tick;
  }

  #remove(entry: Entry): void {
    const slot = entry.slot!;
    entry.previous.next = entry.next;
    entry.next.previous = entry.previous;
    entry.slot = undefined;
    if (slot !== this.#due && slot.isEmpty) this.#used[slot.level]! &= ~(1 << slot.index);
  }

  #append(entry: Entry, slot: Slot): void {
    entry.slot = slot;
    entry.previous = slot.previous;
    entry.next = slot;
    slot.previous.next = entry;
    slot.previous = entry;
  }

  #insert(entry: Entry): void {
    const due = Math.ceil((entry.time - this.#start) / this.#tick);
    // The slots before it were checked, and the last tick is the limit.
    const tick = Math.min(Math.max(due, this.#passed + 1), SPAN[LEVELS]! - 1);
    let level = 0;
    while (
      level < LEVELS - 1 &&
      Math.floor(tick / SPAN[level + 1]!) !== Math.floor(this.#passed / SPAN[level + 1]!)
    ) level++;
    const index = Math.floor(tick / SPAN[level]!) % SLOTS;
    const slot = this.#slots[level * SLOTS + index]!;
    this.#append(entry, slot);
    this.#used[level]! |= 1 << index;
    entry.looked = Math.min(entry.time, this.#timeOf(this.#firstTick(slot)));
  }

  /** The next slot in use. */
  #next(): Slot | undefined {
    for (let level = 0; level < LEVELS; level++) {
      const used = this.#used[level]!;
      if (used !== 0) return this.#slots[level * SLOTS + 31 - Math.clz32(used & -used)];
    }
    return undefined;
  }

  /** The first tick of a slot. */
  #firstTick({ level, index }: Slot): number {
    const block = Math.floor(this.#passed / SPAN[level + 1]!);
    return block * SPAN[level + 1]! + index * SPAN[level]!;
  }

  #setTimer(): void {
    const next = this.#next();
    const tick = next ? this.#firstTick(next) : Infinity;
    // A timer that fires early finds nothing, and is set again.
    if (tick >= this.#wake && next) return;
    this.#forget?.();
    this.#forget = undefined;
    this.#wake = tick;
    if (!next) return;
    const wait = this.#timeOf(tick) - this.#clock.now();
    this.#forget = this.#clock.after(Math.max(0, wait), this.#advance);
  }

  /** Checks all slots whose time has come. */
  #advance = (): void => {
    this.#forget = undefined;
    this.#wake = Infinity;
    this.#advancing = true;
    const now = this.#clock.now();
    const passed = this.#ticks(now);
    for (let slot; (slot = this.#next()) !== undefined;) {
      const tick = this.#firstTick(slot);
      if (tick > passed) break;
      this.#passed = tick;
      this.#empty(slot);
      this.#runDue(now);
    }
    this.#passed = Math.max(this.#passed, passed);
    this.#advancing = false;
    this.#setTimer();
  };

  /** Moves all entries of a slot to the list to be checked. */
  #empty(slot: Slot): void {
    this.#used[slot.level]! &= ~(1 << slot.index);
    while (!slot.isEmpty) {
      const entry = slot.next as Entry;
      this.#remove(entry);
      this.#append(entry, this.#due);
    }
  }

  #runDue(now: number): void {
    while (!this.#due.isEmpty) {
      const entry = this.#due.next as Entry;
      this.#remove(entry);
      if (entry.time > now) {
        this.#insert(entry);
        continue;
      }
      try {
        entry.run();
      } catch (error) {
        this.#clock.soon(() => {
          throw error;
        });
      }
    }
  }
}
