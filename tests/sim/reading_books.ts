/** The books of one device's readings: when each was taken, and when the server says that it was. */
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
    readonly scenario: { readonly timeout: number };
  };
}

/** What is true of a reading. */
interface Taken {
  /** When, by the world's clock. */
  readonly at: number;
  readonly dialect: 1 | 2;
}

/** Boots of which the server may have forgotten the clock. */
const MANY_BOOTS = 8;

export class ReadingBooks {
  readonly #taken = new Map<string, Taken>(); // by line
  #count = 0;

  constructor(readonly id: string) {}

  /** The device reads its sensor. @returns what it stamps that with, if it does */
  stamp({ ms }: Stamping): { stamp?: number } {
    return this.#count++ % 3 === 2 ? {} : { stamp: ms };
  }

  /** It says so in this line. */
  says(line: string, { world, dialect }: Stamping): void {
    this.#taken.set(line, { at: world.clock.now, dialect });
  }

  /** The server's application is given a reading. @param date The server's, in ms since 1970. */
  told(line: string, { at, isStamped }: Moment, date: number, device: Stamping): void {
    const { world, boot } = device;
    const taken = this.#taken.get(line)!;
    if (isStamped !== line.includes("@")) throw this.#violation(line, "is stamped, or is not");
    if (!isStamped) {
      if (at?.getTime() !== date) throw this.#violation(line, "has not the time of now");
      return;
    }
    if (!at) {
      if (taken.dialect === 1 || boot >= MANY_BOOTS) return;
      throw this.#violation(line, "has no time, and its device has said what it needs");
    }
    const late = at.getTime() - (date - world.clock.now) - taken.at;
    if (at.getTime() > date) throw this.#violation(line, "was taken in the future");
    if (world.server.isDateSet || device.isDateSet) return;
    if (late < -2) throw this.#violation(line, `was taken ${-late} ms before it was`);
    if (late > LATEST * world.scenario.timeout) {
      throw this.#violation(line, `was taken ${late} ms after it was`);
    }
  }

  #violation(line: string, what: string): Violation {
    return new Violation(`${this.id}: ${JSON.stringify(line)} ${what}`);
  }
}

/** A hello says the time at which it was made; the server notes it when it knows who that is. In timeouts. */
const LATEST = 1;
