/** Writes rows of the store's own tables. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { DeadLetter, Noted, Outgoing, Positions, RowWriter, SqlInput } from "../store.ts";

/** Rows in one statement. */
const BULK = 50;

/** Inserts rows, many with each statement: three times as fast as one by one. */
class Bulk {
  #many: StatementSync;
  #one: StatementSync;
  #waiting: SqlInput[] = [];

  constructor(db: DatabaseSync, into: string, readonly columns: number, then = "") {
    const row = `(${Array(columns).fill("?").join(", ")})`;
    this.#one = db.prepare(`${into} VALUES ${row} ${then}`);
    this.#many = db.prepare(`${into} VALUES ${Array(BULK).fill(row).join(", ")} ${then}`);
  }

  add(...row: SqlInput[]): void {
    const waiting = this.#waiting;
    for (const value of row) waiting.push(value);
    if (waiting.length < BULK * this.columns) return;
    this.#many.run(...waiting);
    waiting.length = 0;
  }

  flush(): void {
    const waiting = this.#waiting;
    for (let i = 0; i < waiting.length; i += this.columns) {
      this.#one.run(...waiting.slice(i, i + this.columns));
    }
    waiting.length = 0;
  }

  clear(): void {
    this.#waiting.length = 0;
  }
}

/** Writes what differs, one device after the other, within one transaction. */
export class Tables implements RowWriter {
  /** Whether the device's row was written since `of`. */
  wrote = false;
  #device = 0;
  #id = "";
  #offset = 0;
  readonly #devices: Bulk;
  readonly #inbox: Bulk;
  readonly #outbox: Bulk;
  readonly #heard: Bulk;
  readonly #memos: Bulk;
  readonly #bulks: readonly Bulk[];
  readonly #processed: StatementSync;
  readonly #settled: StatementSync;
  readonly #forgotten: StatementSync;
  readonly #deadLetterAdded: StatementSync;
  readonly #deadLetterRemoved: StatementSync;
  readonly #dropped: StatementSync;
  readonly #removals: readonly StatementSync[];

  constructor(db: DatabaseSync) {
    const changing = ["tx_epoch", "tx_next", "tx_sent", "next_id", "rx_epoch", "rx_next"]
      .concat("connects", "processed");
    const replaced = changing.map((name) => `${name} = excluded.${name}`);
    this.#devices = new Bulk(
      db,
      `INSERT INTO holdfast_devices (device, id, ${changing.join(", ")})`,
      10,
      `ON CONFLICT (device) DO UPDATE SET ${replaced.join(", ")}`,
    );
    this.#inbox = new Bulk(db, "INSERT INTO holdfast_inbox", 3);
    this.#outbox = new Bulk(db, "INSERT OR REPLACE INTO holdfast_outbox", 9);
    this.#heard = new Bulk(db, "INSERT OR REPLACE INTO holdfast_heard", 5);
    this.#memos = new Bulk(db, "INSERT OR REPLACE INTO holdfast_memos", 3);
    this.#bulks = [this.#devices, this.#inbox, this.#outbox, this.#heard, this.#memos];
    this.#processed = db.prepare("DELETE FROM holdfast_inbox WHERE device = ? AND number < ?");
    this.#settled = db.prepare("DELETE FROM holdfast_outbox WHERE device = ? AND number < ?");
    this.#forgotten = db.prepare("DELETE FROM holdfast_heard WHERE device = ?");
    this.#deadLetterAdded = db.prepare("INSERT INTO holdfast_dead_letters VALUES (?, ?, ?, ?, ?)");
    this.#deadLetterRemoved = db.prepare(
      "DELETE FROM holdfast_dead_letters WHERE device = ? AND number = ?",
    );
    this.#dropped = db.prepare("DELETE FROM holdfast_memos WHERE device = ? AND key = ?");
    this.#removals = ["memos", "dead_letters", "heard", "outbox", "inbox", "devices"].map((name) =>
      db.prepare(`DELETE FROM holdfast_${name} WHERE device = ?`)
    );
  }

  /**
   * A transaction begins.
   *
   * @param offset From the process's own clock to the store's, in ms.
   */
  begin(offset: number): void {
    this.#offset = offset;
    for (const bulk of this.#bulks) bulk.clear();
  }

  /** The next rows are of this device. */
  of(device: number, id: string): void {
    this.#device = device;
    this.#id = id;
    this.wrote = false;
  }

  /** Deletes the device. */
  remove(): void {
    for (const removal of this.#removals) removal.run(this.#device);
  }

  /** Writes the rows that still wait for a full statement. */
  flush(): void {
    for (const bulk of this.#bulks) bulk.flush();
  }

  positions(positions: Positions, sent: number): void {
    const { txEpoch, txSent, nextId, rxEpoch, rxNext, connects, processed } = positions;
    this.wrote = true;
    // deno-fmt-ignore
    this.#devices.add(
      this.#device, this.#id, txEpoch, sent, txSent, nextId, rxEpoch, rxNext, connects, processed,
    );
  }

  received(number: number, text: string): void {
    this.#inbox.add(this.#device, number, text);
  }

  processed(before: number): void {
    this.#processed.run(this.#device, before);
  }

  written(
    number: number,
    { id, text, overtakes, qos, written, expires, isDoubtful }: Outgoing,
  ): void {
    const time = Math.round(this.#offset + written);
    const end = expires === undefined ? null : Math.round(this.#offset + expires);
    // deno-fmt-ignore
    this.#outbox.add(
      this.#device, number, id ?? null, text, Number(overtakes), Number(qos), time, end,
      Number(isDoubtful),
    );
  }

  settled(before: number): void {
    this.#settled.run(this.#device, before);
  }

  forgotten(): void {
    this.#forgotten.run(this.#device);
  }

  heard(id: number, { hash, position, connection }: Noted): void {
    this.#heard.add(this.#device, id, hash, position, connection);
  }

  deadLetterAdded({ number, text, error, date }: DeadLetter): void {
    this.#deadLetterAdded.run(this.#device, number, text, error, Math.round(date));
  }

  deadLetterRemoved(number: number): void {
    this.#deadLetterRemoved.run(this.#device, number);
  }

  memo(key: string, text: string | undefined): void {
    if (text === undefined) this.#dropped.run(this.#device, key);
    else this.#memos.add(this.#device, key, text);
  }
}
