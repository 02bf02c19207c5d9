/** Tells a board that restarts again and again from one that was restarted. The time is passed in; there is no clock
 * inside. */

/** Starts that are further apart do not belong together, in ms. A board may join its WiFi each time before it fails. */
const WITHIN = 120_000;
/** A program that fails twice will fail a third time. */
const CRASHES = 2;
/** A button, or opening the port, may reset a board twice by chance. */
const OTHERS = 3;
/** A board that runs for this long, in ms, or for twice as long as before, has stopped restarting. */
const CALM = 20_000;

/** Reasons that are the program's own fault. */
const OF_PROGRAM = ["exception", "watchdog"];

/** Who reports a start, in this order: one start may be reported by some or all of them. */
const TELLERS = ["crash", "rom", "firmware"] as const;

/** Reasons by the ROM's numbers. */
const CAUSES: Record<number, string> = {
  1: "power-on",
  2: "external",
  3: "software",
  4: "watchdog",
  5: "wake",
};
const UNKNOWN = "unknown";

interface Start {
  at: number;
  /** As the firmware prints it: `exception`, `watchdog`, `power-on`, `external`, `software`, `wake`; or `unknown`. */
  reason: string;
}

export class Restarts {
  /** Starts that nobody asked for. */
  #row: Start[] = [];
  /** Starts that were asked for and have not come yet. */
  #expected = 1;
  #last: Start | undefined;
  #told: number = TELLERS.length;
  /** The cause that the ROM has named last. */
  #cause: number | undefined;

  /** The board is about to be restarted, by the page or on request. */
  expect(): void {
    this.#expected++;
  }

  /** The ROM reports a start. Only a cause that has changed is certain to belong to this start. */
  startedByRom(cause: number, now: number): void {
    const isNew = this.#cause !== undefined && this.#cause !== cause;
    this.#cause = cause;
    this.started(isNew && CAUSES[cause] || UNKNOWN, "rom", now);
  }

  /** Somebody reports that the board has started, or is about to. */
  started(reason: string, teller: typeof TELLERS[number], now: number): void {
    const place = TELLERS.indexOf(teller);
    const again = place > this.#told && this.#last !== undefined; // of the same start
    this.#told = place;
    if (!again) this.#last = { at: now, reason };
    const start = this.#last!;
    // The ROM's report is the least reliable.
    if (teller !== "rom" && reason !== UNKNOWN) start.reason = reason;
    if (start.reason === "wake") { // from a sleep that it asked for
      this.#row = this.#row.filter((one) => one !== start);
      return;
    }
    if (this.#row.includes(start)) return;
    if (OF_PROGRAM.includes(start.reason)) this.#expected = 0;
    else if (again) return;
    else if (this.#expected > 0) return void this.#expected--;
    this.#row = [...this.#row.filter(({ at }) => now - at < WITHIN), start];
  }

  /** Why it restarts again and again, `unknown` if there is no report; undefined: it does not. */
  get reason(): string | undefined {
    const crashes = this.#row.filter(({ reason }) => OF_PROGRAM.includes(reason));
    if (crashes.length >= CRASHES) return crashes.at(-1)!.reason;
    if (this.#row.length < OTHERS) return undefined;
    return this.#row.findLast(({ reason }) => reason !== UNKNOWN)?.reason ?? UNKNOWN;
  }

  /** When it counts as stable again if it keeps running, in ms; Infinity if it is stable. */
  get calm(): number {
    const [before, last] = this.#row.slice(-2);
    if (this.reason === undefined || !before || !last) return Infinity;
    return last.at + Math.max(CALM, 2 * (last.at - before.at));
  }

  /** Tells the time, in ms. */
  tick(now: number): void {
    if (now >= this.calm) this.#row = [];
  }
}
