/** The books of one device's readings: when each was taken, and the time that the server gives it. */
import type { Moment } from "../../server/channels/thing.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** A device, as far as its clock is concerned. */
export interface Stamping {
  /** Its milliseconds. */
  readonly ms: number;
  readonly dialect: 1 | 2;
  /** Boots so far. */
  readonly boot: number;
  readonly isDateSet: boolean;
  readonly world: {
    readonly clock: { readonly now: number };
    readonly server: { readonly isDateSet: boolean };
  };
}

/** The facts about a reading. */
interface Taken {
  /** When, by the world's clock. */
  readonly at: number;
  readonly dialect: 1 | 2;
  /** How many links the device had had by then. */
  readonly links: number;
}

/** After this many boots the server may have forgotten a boot's clock. */
const MANY_BOOTS = 8;

/** By how much times may differ because they are rounded, in ms. */
const ROUNDING = 2;

export class ReadingBooks {
  readonly #taken = new Map<string, Taken>(); // by line
  readonly #greetings: number[] = []; // how long they took, by link
  #count = 0;

  constructor(readonly id: string) {}

  /** The device reads its sensor. @returns the stamp, if it stamps */
  stamp({ ms }: Stamping): { stamp?: number } {
    return this.#count++ % 3 === 2 ? {} : { stamp: ms };
  }

  /** It reports the reading in this line. */
  says(line: string, { world, dialect }: Stamping): void {
    this.#taken.set(line, { at: world.clock.now, dialect, links: this.#greetings.length });
  }

  /**
   * The device has a link.
   *
   * @param took How long that took from when it began to connect, in ms. Its hello was on its way for at most as long,
   * and the server counts from when the hello came.
   */
  linkUp(took: number): void {
    this.#greetings.push(took);
  }

  /** The server's application gets a reading. @param date The server's date, in ms since 1970. */
  told(line: string, { at, isStamped }: Moment, date: number, device: Stamping): void {
    const { world, boot } = device;
    const taken = this.#taken.get(line)!;
    if (isStamped !== line.includes("@")) throw this.#violation(line, "has the wrong isStamped");
    if (!isStamped) {
      if (at?.getTime() !== date) throw this.#violation(line, "does not have the current time");
      return;
    }
    if (!at) {
      if (taken.dialect === 1 || boot >= MANY_BOOTS) return;
      throw this.#violation(line, "has no time, and its device has said what it needs");
    }
    const late = at.getTime() - (date - world.clock.now) - taken.at;
    if (at.getTime() > date) throw this.#violation(line, "was taken in the future");
    if (world.server.isDateSet || device.isDateSet) return;
    if (late < -ROUNDING) throw this.#violation(line, `was taken ${-late} ms before it was`);
    // It is dated by the hello of the link on which it came, or by a later one.
    const latest = Math.max(...this.#greetings.slice(Math.max(0, taken.links - 1)));
    if (late > latest + ROUNDING) {
      throw this.#violation(line, `was taken ${late} ms after it was`);
    }
  }

  #violation(line: string, what: string): Violation {
    return new Violation(`${this.id}: ${JSON.stringify(line)} ${what}`);
  }
}
