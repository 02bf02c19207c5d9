/**
 * Faults between a page and a board, which a test sets up.
 *
 * @module
 */

/** A fault at a command, once or several times. */
export interface Fault {
  /** The command at which it strikes; any by default. */
  op?: number;
  /** Commands of that kind to let pass first; 0 by default. */
  after?: number;
  /** How often; once by default. */
  times?: number;
  what:
    /** The command is carried out, its answer is never sent. */
    | "lost reply"
    /** A bit of the command changes on the line. */
    | "corrupted command"
    /** The command arrives, and writes something else to the flash than was sent. */
    | "bad flash"
    /** The cable comes off before the answer. */
    | "unplug"
    /** The answer takes `ms` longer. */
    | "slow"
    /** A few bytes that are not a frame come before the answer. */
    | "noise";
  /** For "slow". */
  ms?: number;
}

/** The armed faults. */
export class Faults {
  #armed: { fault: Fault; seen: number; left: number }[] = [];

  arm(fault: Fault): void {
    this.#armed.push({ fault, seen: 0, left: fault.times ?? 1 });
  }

  disarm(): void {
    this.#armed = [];
  }

  /** Faults that have not struck as often as they should; at the end of a test there must be none. */
  get left(): number {
    return this.#armed.reduce((sum, { left }) => sum + left, 0);
  }

  /** The fault that strikes at this command, if any. */
  strike(op: number): Fault | undefined {
    for (const armed of this.#armed) {
      if (armed.left === 0 || (armed.fault.op ?? op) !== op) continue;
      if (armed.seen++ < (armed.fault.after ?? 0)) continue;
      armed.left--;
      return armed.fault;
    }
    return undefined;
  }
}
