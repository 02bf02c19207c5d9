/** The disk of the simulated store: rows, as any real store has them. */
import { FIRMWARE } from "../../server/protocol/lines.ts";
import type { Noted } from "../../server/link/duplicates.ts";
import {
  type DeadLetter,
  type DeviceState,
  isOfApplication,
  type Outgoing,
  type Positions,
} from "../../server/link/record.ts";
import type {
  Acquired,
  Batch,
  Change,
  RowWriter,
  SqlInput,
  SqlRow,
  Work,
} from "../../server/store/store.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Random } from "../../bridge/testing/random.ts";
import { Tables } from "./tables.ts";

/** Told what becomes safe with a commit. */
export interface DiskWatcher {
  /** An application's statement was executed. */
  effect(device: string, text: string): void;
  received(id: string, text: string): void;
  processed(id: string, text: string): void;
  /** A message is a dead letter. Told before all else of its commit. */
  buried(id: string, text: string): void;
  written(id: string, text: string): void;
  withdrawn(id: string, text: string): void;
  settled(id: string, text: string): void;
  /** @param text undefined: it is gone */
  memo(id: string, key: string, text: string | undefined): void;
  /** So many messages of the device have been received and processed, and were never in the store. */
  vanished(id: string, count: number): void;
  /** The device is forgotten. @param waits What waits for it, or of it, if anything does */
  forgotten(id: string, waits: string | undefined): void;
}

/** A server tries again after a commit has failed; in ms, and a little more. */
const RETRY = 300;

/** One device's rows. Times of messages are on the world's clock. */
export interface Rows {
  positions: Positions;
  sent: number;
  /** Number of the first message in the inbox, and in the outbox. */
  inboxFirst: number;
  outboxFirst: number;
  inbox: string[];
  outbox: Outgoing[];
  heard: (Noted | undefined)[];
  letters: DeadLetter[];
  memos: Map<string, string>;
  /** The world has made it up: no commit has written it. */
  isMadeUp?: boolean;
}

/** A row that a commit writes. */
export type Row = { [Name in keyof RowWriter]: [Name, ...Parameters<RowWriter[Name]>] }[
  keyof RowWriter
];

/** What outlives a server that is killed. */
export class Disk {
  devices = new Map<string, Rows>();
  /** Rows of the applications' table: how often each effect is there. */
  effects = new Map<string, number>();
  /** Those of others. */
  readonly tables = new Tables();
  /** When it was copied from another one, in ms. */
  madeAt = -Infinity;
  /** Nothing can be written. */
  full = false;
  /** Until when commits take this long, in ms. */
  slowUntil = 0;
  slowness = 0;

  /** A commit is under way, and not among the rows yet. */
  isCommitting = false;
  /** When a commit failed last. */
  failedAt = -Infinity;

  /** When the last slow commit has ended, or one that was tried again after a failure. */
  get troubleEnd(): number {
    return Math.max(this.slowUntil, this.failedAt + RETRY) + this.slowness;
  }

  /** Another one of its kind, with nothing on it. */
  empty(): Disk {
    return new Disk();
  }

  /** What it holds now, on a disk that works. */
  copy(): Disk {
    const disk = this.empty();
    this.copyTo(disk);
    return disk;
  }

  protected copyTo(disk: Disk): void {
    for (const [id, rows] of this.devices) disk.devices.set(id, structuredClone(rows));
    disk.effects = new Map(this.effects);
  }

  /** A process begins to use it. */
  open(_platform: SimPlatform): void {}

  /** @returns what the store answers */
  acquire(_id: string, acquired: Acquired): Acquired | Promise<Acquired> {
    return acquired;
  }

  /** @returns the token of another server that takes a device, if this store gives any */
  fence(_id: string): Promise<number> | undefined {
    return undefined;
  }

  /** @returns when a real store has committed it too; undefined if there is none */
  commit(_batch: Batch, _refused: ReadonlyMap<Work, unknown>): Promise<void> | undefined {
    return undefined;
  }

  /**
   * Its process is killed.
   *
   * @param torn Given if a commit under way is to leave nothing.
   * @returns whether it leaves nothing
   */
  die(torn: Random | undefined): boolean {
    return torn !== undefined;
  }

  /** Nobody uses it any more. */
  close(): void {}

  /** Rows that a query finds in what is safe. */
  query(sql: string, params: readonly SqlInput[]): SqlRow[] | Promise<SqlRow[]> {
    return this.tables.query(sql, ...params);
  }

  /** Executes an application's statement. */
  affect(params: readonly SqlInput[], watcher: DiskWatcher): void {
    const [device, text] = params.map(String);
    const key = `${device}\0${text}`;
    this.effects.set(key, (this.effects.get(key) ?? 0) + 1);
    watcher.effect(device!, text!);
  }

  /** Writes one device's rows. */
  write(id: string, written: readonly Row[], watcher: DiskWatcher): void {
    let rows = this.devices.get(id);
    if (!rows && written[0]?.[0] !== "positions") {
      throw new Violation(`the store is told of ${id}, but not who that is`);
    }
    for (const row of written) {
      if (row[0] === "positions") {
        const [, positions, sent] = row;
        const vanished = rows
          ? positions.processed - rows.positions.processed - rows.inbox.length
          : positions.processed;
        if (vanished > 0) watcher.vanished(id, vanished);
        if (rows) Object.assign(rows, { positions, sent });
        else this.devices.set(id, rows = emptyRows(positions, sent));
      } else writeRow(rows!, id, row, watcher);
    }
  }

  /** A device is forgotten. */
  remove(id: string, watcher: DiskWatcher): void {
    const rows = this.devices.get(id);
    const waits = rows &&
      (rows.inbox[0] ?? rows.outbox.find(isOfApplication)?.text);
    this.devices.delete(id);
    watcher.forgotten(id, waits);
  }

  /** @throws {Violation} if what it has of a device is not what the server takes for safe */
  compare({ id, state }: Change): void {
    const rows = this.devices.get(id);
    const differs = rows ? differenceOf(rows, state) : "it is not there";
    if (differs) throw new Violation(`the store of ${id} is not what is in memory: ${differs}`);
  }

  /** A device's state, as a server is given it. @param ahead How far the world's clock is ahead of the server's. */
  stateOf(id: string, ahead: number): DeviceState | undefined {
    const rows = this.devices.get(id);
    if (!rows) return undefined;
    return {
      positions: { ...rows.positions },
      sent: rows.sent,
      inbox: [...rows.inbox],
      outbox: rows.outbox.map((message) => ({
        ...message,
        written: message.written - ahead,
        expires: message.expires === undefined ? undefined : message.expires - ahead,
      })),
      heard: rows.heard.flatMap((noted, id) => noted ? [[id, noted] as [number, Noted]] : []),
      ...(rows.letters.length > 0 && { deadLetters: [...rows.letters] }),
      ...(rows.memos.size > 0 && { memos: [...rows.memos].sort() }), // as SQLite has them
    };
  }
}

export function emptyRows(positions: Positions, sent: number): Rows {
  return {
    positions,
    sent,
    inboxFirst: positions.processed,
    outboxFirst: sent,
    inbox: [],
    outbox: [],
    heard: [],
    letters: [],
    memos: new Map(),
  };
}

function writeRow(rows: Rows, id: string, row: Row, watcher: DiskWatcher): void {
  switch (row[0]) {
    case "received": {
      const [, number, text] = row;
      if (rows.inbox.length === 0) rows.inboxFirst = number;
      checkNumber(number, rows.inboxFirst + rows.inbox.length);
      rows.inbox.push(text);
      return watcher.received(id, text);
    }
    case "processed":
      for (; rows.inbox.length > 0 && rows.inboxFirst < row[1]; rows.inboxFirst++) {
        watcher.processed(id, rows.inbox.shift()!);
      }
      return;
    case "written": {
      const [, number, message] = row;
      if (rows.outbox.length === 0) rows.outboxFirst = number;
      const at = number - rows.outboxFirst;
      const old = rows.outbox[at]?.text;
      if (old === undefined) checkNumber(number, rows.outboxFirst + rows.outbox.length);
      else if (message.text !== old && isTheirs(old)) watcher.withdrawn(id, old);
      rows.outbox[at] = message;
      // It is written again where it is when more is known of it.
      if (isOfApplication(message) && message.text !== old) watcher.written(id, message.text);
      return;
    }
    case "settled":
      for (; rows.outbox.length > 0 && rows.outboxFirst < row[1]; rows.outboxFirst++) {
        const { text } = rows.outbox.shift()!;
        if (isTheirs(text)) watcher.settled(id, text);
      }
      return;
    case "forgotten":
      rows.heard = [];
      return;
    case "heard":
      rows.heard[row[1]] = row[2];
      return;
    case "buried":
      rows.letters.push(row[1]);
      return;
    case "exhumed":
      rows.letters = rows.letters.filter(({ number }) => number !== row[1]);
      return;
    case "memo": {
      const [, key, text] = row;
      if (rows.memos.get(key) === text) {
        throw new Violation(`the store is told a memo again: ${key}`);
      }
      if (text === undefined) rows.memos.delete(key);
      else rows.memos.set(key, text);
      return watcher.memo(id, key, text);
    }
  }
}

function checkNumber(number: number, expected: number): void {
  if (number !== expected) {
    throw new Violation(`the store is given row ${number} where ${expected} is the next`);
  }
}

/** What lies behind the outbox means the same as its front. */
function sentOf(
  { positions: { txSent, txNext }, outbox }: Pick<Rows, "positions" | "outbox">,
): number {
  const first = outbox[0]?.seq ?? txNext;
  return (first - txSent | 0) > 0 ? first : txSent;
}

function differenceOf(rows: Rows, state: DeviceState): string | undefined {
  const { positions, inbox, outbox } = state;
  const known = { ...rows.positions, txSent: sentOf(rows) };
  const right = { ...positions, txSent: sentOf(state) };
  for (const name of Object.keys(right) as (keyof Positions)[]) {
    if (known[name] !== right[name]) return `${name} is ${known[name]}, not ${right[name]}`;
  }
  if (rows.sent !== state.sent) return `sent is ${rows.sent}, not ${state.sent}`;
  if (rows.inbox.length > 0 && rows.inboxFirst !== positions.processed) {
    return "numbers in the inbox";
  }
  if (rows.outbox.length > 0 && rows.outboxFirst + rows.outbox.length !== state.sent) {
    return "numbers in the outbox";
  }
  if (JSON.stringify(rows.letters) !== JSON.stringify(state.deadLetters ?? [])) return "letters";
  const memos = state.memos ?? [];
  if (rows.memos.size !== memos.length || memos.some(([key, it]) => rows.memos.get(key) !== it)) {
    return "memos";
  }
  if (rows.inbox.length !== inbox.length) return `inbox ${rows.inbox.length}, not ${inbox.length}`;
  if (rows.inbox.some((text, i) => text !== inbox[i])) return "a message in the inbox";
  if (rows.outbox.length !== outbox.length) {
    return `outbox ${rows.outbox.length}, not ${outbox.length}`;
  }
  const altered = rows.outbox.some((row, i) => {
    const { seq, id, text, overtakes, qos, isDoubtful } = outbox[i]!;
    return row.seq !== seq || row.id !== id || row.text !== text || row.overtakes !== overtakes ||
      row.qos !== qos || row.isDoubtful !== isDoubtful;
  });
  return altered ? "a message in the outbox" : undefined;
}

/** Whether it is no message to the firmware: these are in the books of deploys. */
function isTheirs(text: string): boolean {
  return !text.startsWith(FIRMWARE);
}
