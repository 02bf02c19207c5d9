/**
 * What can go wrong between a page and a board, to be armed by a test.
 *
 * @module
 */

/** A fault that strikes once at a command, or as often as it says. */
export interface Fault {
  /** The command at which it strikes; any, when left out. */
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
    /** The command arrives, and what it writes to the flash is not what was sent. */
    | "bad flash"
    /** The cable comes off before the answer. */
    | "unplug"
    /** The answer takes `ms` longer. */
    | "slow"
    /** A few bytes that are no frame come before the answer. */
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

  /** Faults that have not struck as often as they should. A test that armed one wants none left. */
  get left(): number {
    return this.#armed.reduce((sum, { left }) => sum + left, 0);
  }

  /** The fault that strikes at this command, if one does. */
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
