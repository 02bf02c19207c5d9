/**
 * What a store's file says about itself: whether somebody has it open, whether it is a backup, and how late it is by
 * the clock that messages' ages are told by.
 *
 * That clock never goes back, and nobody sets it. While a process has the store open, it goes with the process's own.
 * From one process to the next it goes with the machine's, as long as that was not started again, and then with the
 * date. So it is the date that says how long a machine was off, and only then.
 */
import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../transport/platform.ts";
import { damaged, isDisk } from "./database.ts";

/** The clocks of a process and its machine. */
export type StoreClock = Pick<Clock, "now" | "date" | "boot">;

/** Its one row. */
interface Row {
  is_open: number;
  copied: number | null;
  time: number | null;
  date: number;
  boot: string | null;
  uptime: number;
}

/** So much the date may drift from the process's clock before it counts as set, in ms. */
const DRIFT = 1000;

export class Mark {
  /** Evidence that the store is older than what was told; undefined: none. */
  readonly older: string | undefined;
  /** From the process's clock to the store's, in ms. */
  readonly offset: number;
  #db: DatabaseSync;
  #clock: StoreClock;
  #dateAhead = NaN; // of the process's clock, when the row was written

  /**
   * @param hasLog Whether there was a log (WAL) beside the file when it was opened.
   * @throws {LocalError} STORE_UNUSABLE
   */
  constructor(path: string, db: DatabaseSync, clock: StoreClock, hasLog: boolean) {
    this.#db = db;
    this.#clock = clock;
    const row = db.prepare("SELECT * FROM holdfast_store").get() as unknown as Row | undefined;
    if (!row) throw damaged(path, "what it says about itself is missing");
    this.older = whyOlder(row, hasLog);
    this.offset = Math.round(timeOf(row, clock)) - clock.now();
    this.#open();
  }

  /**
   * The file itself says that it is open before anything else goes into its log, so a reader that finds the one without the
   * other knows that something is missing. On a full disk it does not say so: then nobody will notice.
   */
  #open(): void {
    try {
      this.write(1);
      this.#checkpoint();
    } catch (error) {
      if (!isDisk(error)) throw error;
    }
  }

  /** To be called in each transaction: somebody may have set the date. */
  renew(): void {
    const dateAhead = this.#clock.date() - this.#clock.now();
    if (Math.abs(dateAhead - this.#dateAhead) > DRIFT) this.write(1);
  }

  /** The store is going to be closed, and SQLite to delete its log. */
  close(): void {
    try {
      // First, so that what follows needs no room.
      this.#checkpoint();
      this.write(0);
    } catch (error) {
      if (!isDisk(error)) throw error; // the log stays
    }
  }

  #checkpoint(): void {
    this.#db.prepare("PRAGMA wal_checkpoint(RESTART)").get();
  }

  /** Says whether it is open. */
  write(isOpen: 0 | 1): void {
    const { id = null, uptime = 0 } = this.#clock.boot?.() ?? {};
    const [now, date] = [this.#clock.now(), this.#clock.date()];
    this.#db.prepare(
      "UPDATE holdfast_store SET is_open = ?, copied = NULL, time = ?, date = ?, boot = ?, uptime = ?",
    ).run(isOpen, Math.round(now + this.offset), Math.round(date), id, Math.round(uptime));
    this.#dateAhead = date - now;
  }
}

/** A backup is closed from the beginning. */
export const MARK_BACKUP = "UPDATE holdfast_store SET is_open = 0, copied = ?";

function whyOlder({ is_open, copied }: Row, hasLog: boolean): string | undefined {
  if (copied !== null) {
    return `it is a backup from ${new Date(copied).toISOString()}: what happened since is missing`;
  }
  if (is_open === 0 || hasLog) return undefined;
  return "its log (the file beside it that ends in -wal) is missing, and what was only in there is lost";
}

/** The store's time now, in ms. At its beginning it is the date. */
function timeOf({ time, date, boot, uptime }: Row, clock: StoreClock): number {
  if (time === null) return clock.date();
  const machine = clock.boot?.();
  if (machine && machine.id === boot && machine.uptime >= uptime) {
    return time + machine.uptime - uptime;
  }
  return time + Math.max(0, clock.date() - date); // set back, it says nothing
}
