/**
 * Messages numbered 1, 2, 3 … from one application to another, checked where they arrive.
 *
 * ```ts
 * import { Sequence } from "./sequence.ts";
 *
 * const sequence = new Sequence((n) => `${n} degrees`);
 * const [first, second] = [sequence.next(), sequence.next()];
 * sequence.receive(second);
 * sequence.receive(first);
 * sequence.lost; // 0
 * sequence.outOfOrder; // 1
 * ```
 */
export class Sequence {
  /** Messages written. */
  sent = 0;
  /** Messages that arrived, right or wrong. */
  received = 0;
  /** Messages that had arrived before, or that nobody sent: a changed one also counts as lost. */
  duplicates = 0;
  /** Messages that arrived after a later one. */
  outOfOrder = 0;
  #highest = 0;
  #missing = new Set<number>(); // numbers below the highest

  /** @param text The text of message n, which starts with its number. */
  constructor(readonly text: (n: number) => string) {}

  /** Messages that have not arrived (yet). */
  get lost(): number {
    return this.#missing.size + this.sent - this.#highest;
  }

  /** The next message to send. */
  next(): string {
    return this.text(++this.sent);
  }

  /** A message has arrived. */
  receive(text: string): void {
    this.received++;
    const n = parseInt(text);
    const known = n >= 1 && n <= this.sent && text === this.text(n);
    if (known && n > this.#highest) {
      for (let gap = this.#highest + 1; gap < n; gap++) this.#missing.add(gap);
      this.#highest = n;
    } else if (known && this.#missing.delete(n)) this.outOfOrder++;
    else this.duplicates++;
  }
}
