/**
 * A store whose disk outlives the server: what the last commit left is what the next server finds. It
 * keeps to what the journal tells it, as a store on a real disk must.
 */
import type { Noted } from "../../server/link/duplicates.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import {
  DeviceRecord,
  type Journal,
  type Outgoing,
  type Positions,
  type Store,
} from "../../server/store/store.ts";

/** One device's rows. */
export interface Rows {
  positions: Positions;
  inbox: string[];
  outbox: Outgoing[];
  heard: (Noted | undefined)[];
}

/** Told what has become safe. */
export interface DiskWatcher {
  received(id: string, text: string): void;
  processed(id: string, text: string): void;
  written(id: string, text: string): void;
  withdrawn(id: string, text: string): void;
  settled(id: string, text: string): void;
  committed(): void;
}

/** What does not go away when a server is killed. */
export class Disk {
  readonly devices = new Map<string, Rows>();
  /** Nothing can be written. */
  full = false;

  /** What it holds now, on a disk that works. */
  copy(): Disk {
    const disk = new Disk();
    for (const [id, rows] of this.devices) disk.devices.set(id, structuredClone(rows));
    return disk;
  }
}

type Change = (rows: Rows) => void;

export class SimStore implements Store, Journal {
  readonly gathers = true;
  #records = new Map<string, DeviceRecord>();
  #changes: { record: DeviceRecord; change: Change }[] = [];
  #moved = new Set<DeviceRecord>();

  /**
   * @param first Positions of a new record, to begin near a wrap.
   * @param clockAhead How far the process's own clock is ahead of the world's, in ms.
   */
  constructor(
    readonly disk: Disk,
    readonly watcher: DiskWatcher,
    readonly first: (id: string) => Partial<Positions>,
    readonly clockAhead: number,
  ) {
    for (const [id, rows] of disk.devices) {
      const record = new DeviceRecord(id, this, { ...rows.positions });
      record.inbox.push(...rows.inbox);
      record.safe = rows.inbox.length;
      for (const message of rows.outbox) {
        record.outbox.push({ ...message, written: message.written + clockAhead });
      }
      for (const [id, noted] of rows.heard.entries()) {
        if (noted) record.duplicates.restore(id, noted);
      }
      this.#records.set(id, record);
    }
  }

  get ids(): Iterable<string> {
    return this.#records.keys();
  }

  get size(): number {
    return this.#records.size;
  }

  get(id: string): DeviceRecord | undefined {
    return this.#records.get(id);
  }

  create(id: string): DeviceRecord {
    const record = new DeviceRecord(id, this);
    Object.assign(record.positions, this.first(id));
    this.#records.set(id, record);
    this.#moved.add(record);
    return record;
  }

  received(record: DeviceRecord, text: string): void {
    this.#note(record, (rows) => {
      rows.inbox.push(text);
      record.safe++;
      this.watcher.received(record.id, text);
    });
  }

  processed(record: DeviceRecord): void {
    this.#moved.add(record);
    this.#note(record, (rows) => {
      this.watcher.processed(record.id, rows.inbox.shift()!);
    });
  }

  written(record: DeviceRecord, message: Outgoing): void {
    this.#moved.add(record);
    const row = { ...message, written: message.written - this.clockAhead };
    this.#note(record, (rows) => {
      const at = rows.outbox.findIndex(({ seq }) => seq === row.seq);
      const old = rows.outbox[at]?.text;
      if (old !== undefined && row.text !== old) this.watcher.withdrawn(record.id, old);
      if (at >= 0) rows.outbox[at] = row;
      else rows.outbox.push(row);
      this.watcher.written(record.id, row.text);
    });
  }

  settled(record: DeviceRecord, message: Outgoing): void {
    this.#note(record, (rows) => {
      const row = rows.outbox.shift();
      if (row?.seq !== message.seq) throw new Error("what is settled is not the oldest");
      this.watcher.settled(record.id, row.text);
    });
  }

  changed(record: DeviceRecord): void {
    this.#moved.add(record);
  }

  heard(record: DeviceRecord, id: number): void {
    this.#note(record, ({ heard }) => {
      const last = id === 0 ? 255 : id;
      for (let other = id; other <= last; other++) {
        heard[other] = record.duplicates.noted(other);
      }
    });
  }

  #note(record: DeviceRecord, change: Change): void {
    this.#changes.push({ record, change });
  }

  /** Whether there is anything to commit. */
  get isDirty(): boolean {
    return this.#changes.length > 0 || this.#moved.size > 0;
  }

  commit(): void {
    if (this.disk.full) throw new LocalError("STORE_FAILED", "the simulated disk is full");
    for (const record of this.#moved) {
      const rows = this.disk.devices.get(record.id);
      if (rows) rows.positions = { ...record.positions };
      else this.disk.devices.set(record.id, emptyRows({ ...record.positions }));
    }
    this.#moved.clear();
    for (const { record, change } of this.#changes) change(this.disk.devices.get(record.id)!);
    this.#changes = [];
    this.watcher.committed();
  }

  close(): void {
    this.commit();
  }
}

function emptyRows(positions: Positions): Rows {
  return { positions, inbox: [], outbox: [], heard: [] };
}
