/** The virtual time of a world, in ms, and all that is to happen in it. */

/** More events at one time are an endless loop. */
const MOST_AT_ONCE = 100_000;

interface Event {
  time: number;
  /** Of two events at the same time, the one planned first comes first. */
  order: number;
  run: () => void;
}

export class Clock {
  now = 0;
  /** Told before each step that a fault could come before: something arrives, or is committed. */
  onStep: (() => void) | undefined;
  #heap: Event[] = [];
  #planned = 0;
  #atOnce = 0;

  /** Plans something for a time, or for now if that is past. */
  at(time: number, run: () => void): void {
    const heap = this.#heap;
    const event = { time: Math.max(time, this.now), order: this.#planned++, run };
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (before(heap[parent]!, event)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  after(delay: number, run: () => void): void {
    this.at(this.now + delay, run);
  }

  /** Lets the next thing happen; false if nothing is planned, or not until then. */
  step(until: number): boolean {
    const heap = this.#heap;
    const first = heap[0];
    if (!first || first.time > until) return false;
    const last = heap.pop()!;
    const length = heap.length;
    if (length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= length) break;
        if (child + 1 < length && before(heap[child + 1]!, heap[child]!)) child++;
        if (before(last, heap[child]!)) break;
        heap[i] = heap[child]!;
        i = child;
      }
      heap[i] = last;
    }
    this.#atOnce = first.time > this.now ? 0 : this.#atOnce + 1;
    if (this.#atOnce > MOST_AT_ONCE) throw new Error("time stands still: an endless loop");
    this.now = first.time;
    first.run();
    return true;
  }
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}

/** A program that can be killed and frozen: what was planned for an earlier life does not happen. */
export class Life {
  #life = 0;
  #frozenUntil = 0;

  constructor(readonly clock: Clock) {}

  /** Changes when it ends. */
  get number(): number {
    return this.#life;
  }

  /** Everything planned so far is forgotten. */
  end(): void {
    this.#life++;
    this.#frozenUntil = 0;
  }

  /** Nothing happens in this program until then. */
  freeze(until: number): void {
    this.#frozenUntil = until;
  }

  after(delay: number, run: () => void): void {
    const life = this.#life;
    this.clock.after(delay, () => this.#enter(life, run));
  }

  /** Something outside has happened: at once, or when the program is no longer frozen. */
  enter(run: () => void): void {
    this.#enter(this.#life, run);
  }

  #enter(life: number, run: () => void): void {
    if (life !== this.#life) return;
    if (this.clock.now >= this.#frozenUntil) return run();
    this.clock.at(this.#frozenUntil, () => this.#enter(life, run));
  }
}
