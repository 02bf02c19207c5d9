/** The virtual time of a world, in ms, and its planned events. */

/** More events than this at one time mean an endless loop. */
const MOST_AT_ONCE = 100_000;

interface Event {
  time: number;
  /** Of two events at the same time, the one planned first comes first. */
  order: number;
  run: () => void;
}

export class Clock {
  now = 0;
  /** How many events have happened. */
  steps = 0;
  /** Called before each step before which a fault may happen: something arrives, or is committed. */
  onStep: (() => void) | undefined;
  #heap: Event[] = [];
  #planned = 0;
  #atOnce = 0;

  /** Plans an event for a time, or for now if that has passed. */
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

  /** Runs the next event; returns false if none is planned until then. */
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
    this.steps++;
    first.run();
    return true;
  }
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
