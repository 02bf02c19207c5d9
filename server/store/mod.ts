/** What the server must not forget, and where it is kept. */
import { DuplicateRecord } from "../duplicates.ts";

/** A message that waits for its ack. */
export interface Outgoing {
  /** Given when it is sent for the first time. */
  id: number | undefined;
  readonly text: string;
  /** Whether it may go out before the messages ahead of it are acknowledged. */
  readonly overtakes: boolean;
}

/** All that is remembered about one device. */
export class DeviceRecord {
  /** Received and acknowledged, not yet processed by the application; oldest first. */
  readonly inbox: string[] = [];
  /** Accepted from the application, not yet acknowledged by the device; oldest first. */
  readonly outbox: Outgoing[] = [];
  /** What the device sent last, to know its repeats. */
  readonly duplicates = new DuplicateRecord();
  /** Id of the next message; 0 only for the first: it tells the device that nothing is remembered. */
  nextId = 0;
  /** How often the device has connected. */
  connects = 0;
}

/** Where records are kept. A server that is started again on the same store goes on where it stopped. */
export interface Store {
  /** How many devices there are. */
  readonly size: number;
  /** The record of a device; undefined if it was never here. */
  get(id: string): DeviceRecord | undefined;
  /** A new record. */
  create(id: string): DeviceRecord;
}

/** Keeps everything in memory: it outlives a `Server`, but not the process. */
export class MemoryStore implements Store {
  #records = new Map<string, DeviceRecord>();

  get size(): number {
    return this.#records.size;
  }

  get(id: string): DeviceRecord | undefined {
    return this.#records.get(id);
  }

  create(id: string): DeviceRecord {
    const record = new DeviceRecord();
    this.#records.set(id, record);
    return record;
  }
}
