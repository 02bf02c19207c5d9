/** Keeps account of what the file has of one record, and writes the difference. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { type Loaded, toDate } from "./sqlite/loading.ts";
import { DeviceRecord, type Journal, type Outgoing } from "../link/record.ts";

/** Rows that go into one statement. */
const BULK = 50;

/** 2^32. */
const WRAP = 4294967296;

/** Dialect 1's. */
const ALL_IDS = Array.from({ length: 256 }, (_, id) => id);

/** Inserts rows, many with each statement: three times as fast as one by one. */
class Bulk {
  #many: StatementSync;
  #one: StatementSync;
  #waiting: SQLInputValue[] = [];

  constructor(db: DatabaseSync, into: string, readonly columns: number, then = "") {
    const row = `(${Array(columns).fill("?").join(", ")})`;
    this.#one = db.prepare(`${into} VALUES ${row} ${then}`);
    this.#many = db.prepare(`${into} VALUES ${Array(BULK).fill(row).join(", ")} ${then}`);
  }

  add(...row: SQLInputValue[]): void {
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

/** The tables of records, as far as they are written. */
export class Tables {
  readonly devices: Bulk;
  readonly inbox: Bulk;
  readonly outbox: Bulk;
  readonly heard: Bulk;
  /** Removes the messages of a device before a number. */
  readonly processed: StatementSync;
  readonly settled: StatementSync;
  /** Removes all that was heard of a device. */
  readonly forgotten: StatementSync;

  constructor(db: DatabaseSync) {
    const changing = ["tx_epoch", "tx_next", "tx_sent", "next_id", "rx_epoch", "rx_next"]
      .concat("connects", "processed");
    const replaced = changing.map((name) => `${name} = excluded.${name}`);
    this.devices = new Bulk(
      db,
      `INSERT INTO holdfast_devices (device, id, ${changing.join(", ")})`,
      10,
      `ON CONFLICT (device) DO UPDATE SET ${replaced.join(", ")}`,
    );
    this.inbox = new Bulk(db, "INSERT INTO holdfast_inbox", 3);
    this.outbox = new Bulk(db, "INSERT OR REPLACE INTO holdfast_outbox", 7);
    this.heard = new Bulk(db, "INSERT OR REPLACE INTO holdfast_heard", 5);
    this.processed = db.prepare("DELETE FROM holdfast_inbox WHERE device = ? AND number < ?");
    this.settled = db.prepare("DELETE FROM holdfast_outbox WHERE device = ? AND number < ?");
    this.forgotten = db.prepare("DELETE FROM holdfast_heard WHERE device = ?");
  }

  /** Writes the rows that still wait for others. */
  flush(): void {
    for (const bulk of [this.devices, this.inbox, this.outbox, this.heard]) bulk.flush();
  }

  /** Forgets them: the transaction has failed. */
  clear(): void {
    for (const bulk of [this.devices, this.inbox, this.outbox, this.heard]) bulk.clear();
  }
}

/** Numbers of the messages in a queue: from `first` up to, but not including, `end`. */
interface Range {
  first: number;
  end: number;
}

/** What the file has of the queues. */
interface Written {
  inbox: Range;
  outbox: Range;
}

/**
 * The journal of one record. It does not collect changes, but compares: a message that has come and gone
 * between two commits leaves no trace, and after a failed commit the next one writes just what is
 * missing by then.
 */
export class Ledger implements Journal {
  readonly record: DeviceRecord;
  #written: Written;
  #next: Written | undefined; // what it will be after the commit that is under way
  #positions = false; // changed
  #messages = new Set<Outgoing>(); // in the file, but changed
  #heard = new Set<number>(); // ids
  #forgotten = false;
  #changed: Set<Ledger>;

  /**
   * @param device The record's number in the file.
   * @param changed Where the ledger enters itself when the record differs from the file.
   * @param loaded What the file has; undefined if the record is new.
   */
  constructor(id: string, readonly device: number, changed: Set<Ledger>, loaded?: Loaded) {
    this.#changed = changed;
    this.record = new DeviceRecord(id, this, loaded?.positions);
    const { record } = this;
    if (loaded) {
      for (const text of loaded.inbox) record.inbox.push(text);
      for (const message of loaded.outbox) record.outbox.push(message);
      for (const [id, noted] of loaded.heard) record.duplicates.restore(id, noted);
      record.safe = record.inbox.length;
    } else {
      this.changed();
    }
    const { processed, txNext } = record.positions;
    const sent = loaded?.sent ?? txNext;
    this.#written = {
      inbox: { first: processed, end: processed + record.inbox.length },
      outbox: { first: sent - record.outbox.length, end: sent },
    };
  }

  received(): void {
    this.#changed.add(this);
  }

  processed(): void {
    this.#changed.add(this);
  }

  settled(): void {
    this.#changed.add(this);
  }

  written(_: DeviceRecord, message: Outgoing): void {
    this.#changed.add(this);
    const isNew = (message.seq - this.#written.outbox.end | 0) >= 0;
    if (!isNew) this.#messages.add(message);
  }

  changed(): void {
    this.#positions = true;
    this.#changed.add(this);
  }

  heard(_: DeviceRecord, id: number): void {
    this.#changed.add(this);
    this.#heard.add(id);
    // It may have made others forgotten: whichever are left is written anew.
    if (id === 0) this.#forgotten = true;
  }

  /**
   * Writes what differs. The transaction may still fail: `committed` says that it has not.
   *
   * @param consumed Whether the oldest message of the inbox leaves it with this transaction, which the
   * record does not know yet.
   */
  write(tables: Tables, consumed: boolean): void {
    const { inbox, outbox } = this.#written;
    const { positions } = this.record;
    const processed = Math.max(inbox.first, positions.processed + (consumed ? 1 : 0));
    const sent = outbox.end + (positions.txNext - outbox.end % WRAP + WRAP) % WRAP;
    const next: Written = {
      inbox: { first: processed, end: positions.processed + this.record.inbox.length },
      outbox: { first: sent - this.record.outbox.length, end: sent },
    };
    this.#writeInbox(tables, next.inbox);
    this.#writeOutbox(tables, next.outbox);
    this.#writeHeard(tables);
    if (this.#positions || processed !== inbox.first || sent !== outbox.end) {
      const { txEpoch, txSent, nextId, rxEpoch, rxNext, connects } = positions;
      const { device, record: { id } } = this;
      // deno-fmt-ignore
      tables.devices.add(
        device, id, txEpoch, sent, txSent, nextId, rxEpoch, rxNext, connects, processed,
      );
    }
    this.#next = next;
  }

  #writeInbox(tables: Tables, { first, end }: Range): void {
    const { inbox } = this.#written;
    const { record, device } = this;
    if (first > inbox.first && inbox.end > inbox.first) tables.processed.run(device, first);
    const oldest = record.positions.processed;
    for (let number = Math.max(first, inbox.end); number < end; number++) {
      tables.inbox.add(device, number, record.inbox[number - oldest]!);
    }
  }

  #writeOutbox(tables: Tables, { first, end }: Range): void {
    const { outbox } = this.#written;
    const { record, device } = this;
    if (first > outbox.first && outbox.end > outbox.first) tables.settled.run(device, first);
    const add = (index: number) => {
      const { id = null, text, overtakes, qos, written } = record.outbox[index]!;
      // deno-fmt-ignore
      tables.outbox.add(
        device, first + index, id, text, Number(overtakes), Number(qos), toDate(written),
      );
    };
    for (const message of this.#messages) {
      const index = message.seq - record.txFirst >>> 0;
      if (record.outbox[index] === message && first + index < outbox.end) add(index);
    }
    for (let number = Math.max(first, outbox.end); number < end; number++) add(number - first);
  }

  #writeHeard(tables: Tables): void {
    const { record, device } = this;
    if (this.#forgotten) tables.forgotten.run(device);
    for (const id of this.#forgotten ? ALL_IDS : this.#heard) {
      const noted = record.duplicates.noted(id);
      if (noted) tables.heard.add(device, id, noted.hash, noted.position, noted.connection);
    }
  }

  /** What `write` wrote is safe. */
  committed(): void {
    this.#written = this.#next!;
    this.#positions = this.#forgotten = false;
    this.#messages.clear();
    this.#heard.clear();
    this.record.safe = this.record.inbox.length;
  }
}
