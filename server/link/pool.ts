/** What a message takes of the pool beside its text, in UTF-16 units: about what the engine needs for it. */
export const MESSAGE = 100;

/** All that the queues of all devices hold, and their dead letters, in UTF-16 units, and how much that may be. */
export class Pool {
  readonly #most: number;
  readonly #hasNamed: () => boolean;
  #taken = 0;
  #takenOpen = 0;

  /**
   * @param most Beyond it, a queue that is not empty takes nothing more.
   * @param hasNamed Whether there are devices that strangers must leave room for: half of it.
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
   * @param isOpen Whether for a device whose name anybody may say.
   * @param beside What does not count, as it only moves: it is of that device.
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
    return `the queues and dead letters of all devices hold ${this.#taken} units of text, and ${this.#most} are the most ` +
      `(limit totalText${this.#hasNamed() ? ", half of it for devices without a key" : ""})`;
  }
}

/** What the queues of one device take of the pool. */
export class PoolShare {
  readonly #pool: Pool;
  #taken = 0;
  #isOpen: boolean;
  #isGone = false;

  constructor(pool: Pool, isOpen = false) {
    this.#pool = pool;
    this.#isOpen = isOpen;
  }

  /** Whether anybody may say the device's name. */
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

  /** Why it has none, for people. */
  get whyFull(): string {
    return this.#pool.whyFull;
  }

  /** Whether a message of a queue may stay beyond it, where nothing limits how many follow. */
  mayKeep(text: string): boolean {
    return this.#pool.hasRoom(this.#isOpen, text.length + MESSAGE);
  }

  /** A message has entered a queue. */
  add(text: string): void {
    this.#change(text.length + MESSAGE);
  }

  /** It has left. */
  remove(text: string): void {
    this.#change(-text.length - MESSAGE);
  }

  /** The device is here no longer: what still happens in its queues takes nothing. */
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

/** Text of one kind that a device's queues hold. */
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
