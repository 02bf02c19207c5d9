/**
 * A store file's own row: whether a server has it open, whether it is a backup, and the time on the clock of
 * messages' ages.
 *
 * That clock is monotonic and cannot be set. While a process has the store open, it follows the process's clock.
 * Between processes it follows the machine's uptime, unless the machine was restarted; then it follows the date. So
 * the date only tells how long a machine was off.
 */
import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../transport/platform.ts";
import { damaged, isDisk } from "./database.ts";

/** The clocks of a process and its machine. */
export type StoreClock = Pick<Clock, "now" | "date" | "boot">;

/** The store file's own row. */
interface Row {
  is_open: number;
  copied: number | null;
  time: number | null;
  date: number;
  boot: string | null;
  uptime: number;
}

/** How far the date may drift from the process's clock before it counts as set, in ms. */
const DRIFT = 1000;

export class Mark {
  /** Evidence that the store was set back; undefined: none. */
  readonly older: string | undefined;
  /** Offset from the process's clock to the store's, in ms. */
  readonly offset: number;
  #db: DatabaseSync;
  #clock: StoreClock;
  #dateAhead = NaN; // how far the date was ahead of the process's clock when the row was written

  /**
   * @param hasLog Whether there was a log (WAL) beside the file when it was opened.
   * @throws {LocalError} STORE_UNUSABLE
   */
  constructor(path: string, db: DatabaseSync, clock: StoreClock, hasLog: boolean) {
    this.#db = db;
    this.#clock = clock;
    const row = db.prepare("SELECT * FROM holdfast_store").get() as unknown as Row | undefined;
    if (!row) throw damaged(path, "its row about itself is missing");
    this.older = whyOlder(row, hasLog);
    this.offset = Math.round(timeOf(row, clock)) - clock.now();
    this.#open();
  }

  /**
   * Marks the file as open before anything else goes into its log, so if the file is marked but the log is missing,
   * something was lost. On a full disk this fails, and such a loss would go unnoticed.
   */
  #open(): void {
    try {
      this.write(1);
      this.#checkpoint();
    } catch (error) {
      if (!isDisk(error)) throw error;
    }
  }

  /** Called in each transaction, because the date may have been set. */
  renew(): void {
    const dateAhead = this.#clock.date() - this.#clock.now();
    if (Math.abs(dateAhead - this.#dateAhead) > DRIFT) this.write(1);
  }

  /** The store is about to be closed, and SQLite will delete its log. */
  close(): void {
    try {
      // First, so that the rest needs no room on the disk.
      this.#checkpoint();
      this.write(0);
    } catch (error) {
      if (!isDisk(error)) throw error; // then the log stays
    }
  }

  #checkpoint(): void {
    this.#db.prepare("PRAGMA wal_checkpoint(RESTART)").get();
  }

  /** Writes whether it is open. */
  write(isOpen: 0 | 1): void {
    const { id = null, uptime = 0 } = this.#clock.boot?.() ?? {};
    const [now, date] = [this.#clock.now(), this.#clock.date()];
    this.#db.prepare(
      "UPDATE holdfast_store SET is_open = ?, copied = NULL, time = ?, date = ?, boot = ?, uptime = ?",
    ).run(isOpen, Math.round(now + this.offset), Math.round(date), id, Math.round(uptime));
    this.#dateAhead = date - now;
  }
}

/** A backup is marked as closed. */
export const MARK_BACKUP = "UPDATE holdfast_store SET is_open = 0, copied = ?";

function whyOlder({ is_open, copied }: Row, hasLog: boolean): string | undefined {
  if (copied !== null) {
    return `it is a backup from ${new Date(copied).toISOString()}: later changes are missing`;
  }
  if (is_open === 0 || hasLog) return undefined;
  return "its log (the file beside it that ends in -wal) is missing, so changes that were only in there are lost";
}

/** The store's present time, in ms. It started as the date. */
function timeOf({ time, date, boot, uptime }: Row, clock: StoreClock): number {
  if (time === null) return clock.date();
  const machine = clock.boot?.();
  if (machine && machine.id === boot && machine.uptime >= uptime) {
    return time + machine.uptime - uptime;
  }
  return time + Math.max(0, clock.date() - date); // if the date was set back, it says nothing
}
