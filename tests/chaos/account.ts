/**
 * Compares numbered messages that were written with those that arrived: exactly once and in order, or a finding.
 *
 * @module
 */

/** The text of a device's message, which says where the message belongs. */
export function numbered(device: string, number: number): string {
  // Of many lengths, so that pieces and pages end anywhere in them.
  return `${device} ${number} ${"x".repeat(number * 37 % 90)}`;
}

/** One thing that went wrong. */
export interface Finding {
  kind: "lost" | "doubled" | "out of order" | "unknown";
  about: string;
}

/** Whether nothing was found. */
export function isFaultless(
  { findings, complaints }: { findings: readonly Finding[]; complaints: readonly string[] },
): boolean {
  return findings.length === 0 && complaints.length === 0;
}

/** One direction of one device's messages: what arrives must be 0, 1, 2 …. */
export class Account {
  /** Number of the message that should come next: one more than the highest that came. */
  arrived = 0;
  readonly findings: Finding[] = [];
  #missing = new Set<number>();

  /**
   * @param what For findings: whose, and which way.
   * @param text What message number n says.
   */
  constructor(readonly what: string, readonly text: (n: number) => string) {}

  /** How many of the written ones have arrived. */
  get received(): number {
    return this.arrived - this.#missing.size;
  }

  #find(kind: Finding["kind"], about: string): void {
    this.findings.push({ kind, about: `${this.what}: ${about}` });
  }

  /** A message has arrived. */
  receive(text: string): void {
    const next = this.arrived;
    if (text === this.text(next)) {
      this.arrived++;
      return;
    }
    const number = Number(text.match(/\d+(?= x*$)/)?.[0] ?? NaN);
    const shown = JSON.stringify(text.slice(0, 40));
    if (text !== this.text(number)) {
      this.#find("unknown", `${shown} came, which was never written`);
    } else if (this.#missing.delete(number)) {
      this.#find("out of order", `${shown} came when ${next} was next`);
    } else if (number < next) {
      this.#find("doubled", `${shown} came again when ${next} was next`);
    } else {
      for (let gap = next; gap < number; gap++) this.#missing.add(gap);
      this.arrived = number + 1;
    }
  }

  /** Nothing more will arrive. @param written How many were written in all */
  close(written: number): void {
    const missing = [...this.#missing];
    for (let gap = this.arrived; gap < written; gap++) missing.push(gap);
    for (const gap of missing) this.#find("lost", `number ${gap} of ${written}`);
    if (this.arrived > written) this.#find("unknown", `${this.arrived} came, ${written} written`);
  }
}
