/** Reads all records from a store's file. */
import type { DatabaseSync } from "node:sqlite";
import type { Noted } from "../../link/duplicates.ts";
import { damaged } from "./database.ts";
import type { Outgoing, Positions } from "../../link/record.ts";

/** A record as the file has it. */
export interface Loaded {
  id: string;
  /** The record's number in the file. */
  device: number;
  positions: Positions;
  /** Like `positions.txNext`, but it does not come round after 2^32. */
  sent: number;
  inbox: string[];
  outbox: Outgoing[];
  /** Ids of dialect 1, and what is known of them. */
  heard: [id: number, noted: Noted][];
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** @throws {LocalError} STORE_UNUSABLE, if records contradict each other */
export function load(path: string, db: DatabaseSync): Loaded[] {
  const all = new Map<number, Loaded>();
  const of = (device: number): Loaded => {
    const found = all.get(device);
    if (!found) throw damaged(path, `device ${device} is missing`);
    return found;
  };
  const check = (isRight: boolean, device: number) => {
    if (!isRight) throw damaged(path, `a message of device ${device} is missing`);
  };
  const parse = <T>(json: string): T[] => {
    try {
      return JSON.parse(json);
    } catch (cause) {
      throw damaged(path, "a text is not UTF-8", cause);
    }
  };
  for (const row of read<DeviceRow>(db, DEVICES)) {
    all.set(row.device, {
      id: decoder.decode(row.name),
      device: row.device,
      positions: {
        txEpoch: row.tx_epoch,
        txNext: row.tx_next % 2 ** 32,
        txSent: row.tx_sent,
        nextId: row.next_id,
        rxEpoch: row.rx_epoch,
        rxNext: row.rx_next,
        connects: row.connects,
        processed: row.processed,
      },
      sent: row.tx_next,
      inbox: [],
      outbox: [],
      heard: [],
    });
  }
  for (const { device, first, last, json } of read<Queue>(db, INBOX)) {
    const { inbox, positions } = of(device);
    for (const text of parse<string>(json)) inbox.push(text);
    const { processed } = positions;
    check(first === processed && last === processed + inbox.length - 1, device);
  }
  for (const { device, first, last, json } of read<Queue>(db, OUTBOX)) {
    const { outbox, sent } = of(device);
    const messages = parse<[number | null, string, number, number, number]>(json);
    for (const [i, [id, text, overtakes, qos, date]] of messages.entries()) {
      outbox.push({
        seq: (first + i) % 2 ** 32,
        id: id ?? undefined,
        text,
        overtakes: overtakes === 1,
        qos: qos === 1,
        written: fromDate(date),
      });
    }
    check(first === sent - outbox.length && last === sent - 1, device);
  }
  for (const { device, json } of read<Group>(db, HEARD)) {
    const { heard } = of(device);
    for (const [id, hash, position, connection] of parse<[number, number, number, number]>(json)) {
      heard.push([id, { hash, position, connection }]);
    }
  }
  return [...all.values()];
}

/** What a clock that only this process has shows, as a date that the next one understands: ms since 1970. */
export function toDate(time: number): number {
  return Math.round(Date.now() - performance.now() + time);
}

/** The reverse. A date in the future is now: the computer's clock was set back meanwhile. */
export function fromDate(date: number): number {
  return performance.now() - Math.max(0, Date.now() - date);
}

function read<Row>(db: DatabaseSync, sql: string): Iterable<Row> {
  return db.prepare(sql).iterate() as Iterable<unknown> as Iterable<Row>;
}

const DEVICES = `SELECT *, CAST(id AS BLOB) AS name FROM holdfast_devices ORDER BY device`;

interface DeviceRow {
  device: number;
  name: Uint8Array;
  tx_epoch: number;
  tx_next: number;
  tx_sent: number;
  next_id: number;
  rx_epoch: number;
  rx_next: number;
  connects: number;
  processed: number;
}

/** All rows of a device, as one text: seven times as fast as row by row. And unlike a plain TEXT, JSON
 * does not end at a NUL. */
interface Group {
  device: number;
  json: string;
}

interface Queue extends Group {
  first: number;
  last: number;
}

const INBOX = `
  SELECT device, min(number) AS first, max(number) AS last,
    json_group_array(text ORDER BY number) AS json
  FROM holdfast_inbox GROUP BY device`;

const OUTBOX = `
  SELECT device, min(number) AS first, max(number) AS last,
    json_group_array(json_array(id, text, overtakes, qos, written) ORDER BY number) AS json
  FROM holdfast_outbox GROUP BY device`;

const HEARD = `
  SELECT device, json_group_array(json_array(id, hash, position, connection)) AS json
  FROM holdfast_heard GROUP BY device`;
