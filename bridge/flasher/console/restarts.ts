/** Tells a board that restarts again and again from one that was restarted. The time goes in; no clock inside. */

/** Starts that are further apart are no row, in ms. A board may join its WiFi each time before it fails. */
const WITHIN = 120_000;
/** A program that fails twice will fail a third time. */
const CRASHES = 2;
/** A button, or opening the port, may reset a board twice by chance. */
const OTHERS = 3;
/** A board that goes on for this long, in ms, or for twice as long as before, has got over it. */
const CALM = 20_000;

/** Reasons that are the program's own fault. */
const OF_PROGRAM = ["exception", "watchdog"];

/** Who tells of a start, in the order in which they do: of one start, some or all of them may. */
const TELLERS = ["crash", "rom", "firmware"] as const;

/** By the ROM's numbers. */
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
  /** As the firmware says it: `exception`, `watchdog`, `power-on`, `external`, `software`, `wake`; or `unknown`. */
  reason: string;
}

export class Restarts {
  /** Starts that nobody asked for. */
  #row: Start[] = [];
  /** Starts that were asked for and have not come yet. */
  #expected = 1;
  #last: Start | undefined;
  #told: number = TELLERS.length;
  /** What the ROM said last. */
  #cause: number | undefined;

  /** The board is going to be restarted, by the page or by what it was told. */
  expect(): void {
    this.#expected++;
  }

  /** The ROM tells that the board has started. Only a cause that is new is surely that of this start. */
  startedByRom(cause: number, now: number): void {
    const isNew = this.#cause !== undefined && this.#cause !== cause;
    this.#cause = cause;
    this.started(isNew && CAUSES[cause] || UNKNOWN, "rom", now);
  }

  /** Somebody tells that the board has started, or is just about to. */
  started(reason: string, teller: typeof TELLERS[number], now: number): void {
    const place = TELLERS.indexOf(teller);
    const again = place > this.#told && this.#last !== undefined; // of the same start
    this.#told = place;
    if (!again) this.#last = { at: now, reason };
    const start = this.#last!;
    // The ROM knows least.
    if (teller !== "rom" && reason !== UNKNOWN) start.reason = reason;
    if (start.reason === "wake") { // from a sleep of its own will
      this.#row = this.#row.filter((one) => one !== start);
      return;
    }
    if (this.#row.includes(start)) return;
    if (OF_PROGRAM.includes(start.reason)) this.#expected = 0;
    else if (again) return;
    else if (this.#expected > 0) return void this.#expected--;
    this.#row = [...this.#row.filter(({ at }) => now - at < WITHIN), start];
  }

  /** Why it restarts again and again, `unknown` if nobody tells; undefined: it does not. */
  get reason(): string | undefined {
    const crashes = this.#row.filter(({ reason }) => OF_PROGRAM.includes(reason));
    if (crashes.length >= CRASHES) return crashes.at(-1)!.reason;
    if (this.#row.length < OTHERS) return undefined;
    return this.#row.findLast(({ reason }) => reason !== UNKNOWN)?.reason ?? UNKNOWN;
  }

  /** When it will have got over it if it goes on, in ms; Infinity if there is nothing to get over. */
  get calm(): number {
    const [before, last] = this.#row.slice(-2);
    if (this.reason === undefined || !before || !last) return Infinity;
    return last.at + Math.max(CALM, 2 * (last.at - before.at));
  }

  /** It is `now`. */
  tick(now: number): void {
    if (now >= this.calm) this.#row = [];
  }
}
