/** The disk of the simulated store: rows, as in any real store. */
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

/** Called with what becomes safe in a commit. */
export interface DiskWatcher {
  /** An application's statement was executed. */
  effect(device: string, text: string): void;
  received(id: string, text: string): void;
  processed(id: string, text: string): void;
  /** A message is a dead letter. Called before everything else of its commit. */
  deadLetterAdded(id: string, text: string): void;
  written(id: string, text: string): void;
  withdrawn(id: string, text: string): void;
  settled(id: string, text: string): void;
  /** @param text undefined: it was deleted */
  memo(id: string, key: string, text: string | undefined): void;
  /** This many messages of the device were received and processed without ever being in the store. */
  vanished(id: string, count: number): void;
  /** The device is forgotten. @param waits What waits for it or from it, if anything */
  forgotten(id: string, waits: string | undefined): void;
}

/** After how many ms a server retries a failed commit, and a little more. */
const RETRY = 300;

/** One device's rows. Times of messages are on the world's clock. */
export interface Rows {
  positions: Positions;
  sent: number;
  /** Numbers of the first message in the inbox and in the outbox. */
  inboxFirst: number;
  outboxFirst: number;
  inbox: string[];
  outbox: Outgoing[];
  heard: (Noted | undefined)[];
  letters: DeadLetter[];
  memos: Map<string, string>;
  /** The world has created these rows, not a commit. */
  isMadeUp?: boolean;
}

/** A row that a commit writes. */
export type Row = { [Name in keyof RowWriter]: [Name, ...Parameters<RowWriter[Name]>] }[
  keyof RowWriter
];

/** Storage that outlives a killed server. */
export class Disk {
  devices = new Map<string, Rows>();
  /** Rows of the applications' table: the number of each effect. */
  effects = new Map<string, number>();
  /** Other tables. */
  readonly tables = new Tables();
  /** When it was copied from another disk, in ms. */
  madeAt = -Infinity;
  /** Nothing can be written. */
  full = false;
  /** Until when commits take this long, in ms. */
  slowUntil = 0;
  slowness = 0;
  #slowEnd = -Infinity; // when the slow commits that have begun end

  /** A commit is under way, and not in the rows yet. */
  isCommitting = false;
  /** When a commit last failed. */
  failedAt = -Infinity;

  /** When the last slow or retried commit ended. */
  get troubleEnd(): number {
    return Math.max(this.#slowEnd, Math.max(this.slowUntil, this.failedAt + RETRY) + this.slowness);
  }

  /** A slow commit begins: it takes this long, also if the store is made faster meanwhile. @returns how long, in ms */
  beginSlowly(now: number): number {
    this.#slowEnd = Math.max(this.#slowEnd, now + this.slowness);
    return this.slowness;
  }

  /** An empty disk of the same kind. */
  empty(): Disk {
    return new Disk();
  }

  /** A copy of its rows, on a working disk. */
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

  /** @returns the store's answer */
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
   * @param torn Given if the current commit should leave nothing.
   * @returns whether it leaves nothing
   */
  die(torn: Random | undefined): boolean {
    return torn !== undefined;
  }

  /** Ends its use. */
  close(): void {}

  /** The safe rows that match a query. */
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
      throw new Violation(`the store is given rows of ${id} before its positions`);
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

  /** @throws {Violation} if its rows of a device are not what the server takes for safe */
  compare({ id, state }: Change): void {
    const rows = this.devices.get(id);
    const differs = rows ? differenceOf(rows, state) : "it is not there";
    if (differs) throw new Violation(`the store of ${id} is not what is in memory: ${differs}`);
  }

  /** A device's state, as a server gets it. @param ahead How far the world's clock is ahead of the server's. */
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
      ...(rows.memos.size > 0 && { memos: [...rows.memos].sort() }), // in SQLite's order
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
      // It is written again in its place when more is known about it.
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
    case "deadLetterAdded":
      rows.letters.push(row[1]);
      return;
    case "deadLetterRemoved":
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

/** A position beyond the outbox means the same as one at its front. */
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

/** Whether it is not a message to the firmware: those are in the books of deploys. */
function isTheirs(text: string): boolean {
  return !text.startsWith(FIRMWARE);
}
