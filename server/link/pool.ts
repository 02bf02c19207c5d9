/** What a message takes from the pool besides its text, in UTF-16 units: about what the engine needs for it. */
export const MESSAGE = 100;

/** Size of all devices' queues and dead letters in UTF-16 units, and its limit. */
export class Pool {
  readonly #most: number;
  readonly #hasNamed: () => boolean;
  #taken = 0;
  #takenOpen = 0;

  /**
   * @param most The limit: beyond it, a queue that is not empty takes nothing more.
   * @param hasNamed Whether there are named devices, for which strangers must leave half of it.
   */
  constructor(most: number, hasNamed: () => boolean = () => false) {
    this.#most = most;
    this.#hasNamed = hasNamed;
  }

  /** What all queues take. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * @param isOpen Whether it is for a device whose id anybody may claim.
   * @param beside What does not count, because it only moves within that device's queues.
   */
  hasRoom(isOpen: boolean, beside = 0): boolean {
    if (this.#taken - beside >= this.#most) return false;
    return !isOpen || !this.#hasNamed() || this.#takenOpen - beside < this.#most / 2;
  }

  add(units: number, isOpen: boolean): void {
    this.#taken += units;
    if (isOpen) this.#takenOpen += units;
  }

  /** Why there is no room, for people. */
  get whyFull(): string {
    return `the queues and dead letters of all devices hold ${this.#taken} units of text, at most ${this.#most} are allowed ` +
      `(limit totalText${this.#hasNamed() ? ", half of it for devices without a key" : ""})`;
  }
}

/** The part of the pool that one device's queues take. */
export class PoolShare {
  readonly #pool: Pool;
  #taken = 0;
  #isOpen: boolean;
  #isGone = false;

  constructor(pool: Pool, isOpen = false) {
    this.#pool = pool;
    this.#isOpen = isOpen;
  }

  /** Whether anybody may claim the device's id. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  set isOpen(isOpen: boolean) {
    this.#pool.add(-this.#taken, this.#isOpen);
    this.#isOpen = isOpen;
    this.#pool.add(this.#taken, isOpen);
  }

  get hasRoom(): boolean {
    return this.#pool.hasRoom(this.#isOpen);
  }

  /** Why it has no room, for people. */
  get whyFull(): string {
    return this.#pool.whyFull;
  }

  /** Whether a message may stay in a queue although the pool is full, where nothing else limits how many follow. */
  mayKeep(text: string): boolean {
    return this.#pool.hasRoom(this.#isOpen, text.length + MESSAGE);
  }

  /** A message has entered a queue. */
  add(text: string): void {
    this.#change(text.length + MESSAGE);
  }

  /** A message has left a queue. */
  remove(text: string): void {
    this.#change(-text.length - MESSAGE);
  }

  /** The device has left memory: changes of its queues count no more. */
  leave(): void {
    this.#change(-this.#taken);
    this.#isGone = true;
  }

  #change(units: number): void {
    if (this.#isGone) return;
    this.#taken += units;
    this.#pool.add(units, this.#isOpen);
  }
}

/** The size of one kind of text in a device's queues. */
export class QueueText {
  /** In UTF-16 units. */
  units = 0;
  readonly #share: PoolShare;

  constructor(share: PoolShare) {
    this.#share = share;
  }

  add(text: string): void {
    this.units += text.length;
    this.#share.add(text);
  }

  remove(text: string): void {
    this.units -= text.length;
    this.#share.remove(text);
  }
}
