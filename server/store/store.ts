/** What the server must not forget, and where it is kept. */
import type { Database } from "./effects.ts";
import { DeviceRecord, type Journal } from "../link/record.ts";

export type { Database, SqlInput, SqlRow, Statement, Transaction } from "./effects.ts";

export { DeviceRecord, type Journal, type Outgoing, type Positions, WITHDRAWN } from "../link/record.ts";

/** Where records are kept. A server that is started again on the same store goes on where it stopped. */
export interface Store {
  /** Ids of all devices ever seen. */
  readonly ids: Iterable<string>;
  /** How many there are. */
  readonly size: number;
  /** The record of a device; undefined if it was never here. */
  get(id: string): DeviceRecord | undefined;
  /** A new record. */
  create(id: string): DeviceRecord;
  /** Whether a commit is dear, so that many changes should share one. */
  readonly gathers: boolean;
  /** Where applications can commit effects of their own together with the store's; not every store has it. */
  readonly database?: Database;
  /**
   * Makes every change so far safe, all at once or none. Nothing is acknowledged, sent or shown to an
   * application before. Called once at the end of each turn of the event loop that changed something.
   *
   * @throws {LocalError} STORE_FAILED. Nothing is lost: the next call tries again.
   */
  commit(): void;
  /** Commits what is left. @throws {LocalError} STORE_FAILED; it is closed nevertheless */
  close(): void;
}

/** Keeps everything in memory: it outlives a `Server`, but not the process. */
export class MemoryStore implements Store, Journal {
  #records = new Map<string, DeviceRecord>();
  #received = new Set<DeviceRecord>();
  readonly gathers = false;

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
    this.#records.set(id, record);
    return record;
  }

  received(record: DeviceRecord): void {
    this.#received.add(record);
  }

  processed(): void {}
  written(): void {}
  settled(): void {}
  changed(): void {}
  heard(): void {}

  commit(): void {
    for (const record of this.#received) record.safe = record.inbox.length;
    this.#received.clear();
  }

  close(): void {}
}
