/** What of the bridge lies in the server's store, and how much of it there may be. */
import { LocalError, type SqlRow, type Transaction } from "../../server/mod.ts";
import { byteLength } from "../../server/protocol/lines.ts";
import type { Kept } from "./mqtt_session.ts";
import type { InFlight, Publication, Task } from "./tasks.ts";

/** How far a publication is; `GIVEN_UP` is one that goes nowhere, and is counted next. */
const [WAITING, SENT, RELEASED, GIVEN_UP] = [0, 1, 2, 3];

/** When it was added, in ms since 1970; of a state that was replaced: the first. */
const SINCE = "since INTEGER NOT NULL DEFAULT 0";

const TABLES = [
  `CREATE TABLE mqtt_out (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    payload TEXT NOT NULL,
    retain INTEGER NOT NULL,
    stage INTEGER NOT NULL DEFAULT ${WAITING},
    ${SINCE}
  )`,
  `CREATE INDEX mqtt_out_by_stage ON mqtt_out (stage, seq)`,
  // Of a state that waits there is one row. One that was sent stays as it was sent.
  `CREATE UNIQUE INDEX mqtt_out_state ON mqtt_out (topic)
    WHERE retain = 1 AND stage = ${WAITING}`,
  `CREATE TABLE mqtt_in (packet INTEGER PRIMARY KEY)`,
  `CREATE TABLE mqtt_session (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    client_id TEXT NOT NULL,
    is_known INTEGER NOT NULL
  )`,
];

const PUBLISH = `INSERT INTO mqtt_out (topic, payload, retain, since) VALUES (?, ?, ?, ?)`;

/** Takes the place of the one that waits: so a state that changes fast does not wait for ever behind the others. */
const REPLACE = `${PUBLISH} ON CONFLICT (topic) WHERE retain = 1 AND stage = ${WAITING}
  DO UPDATE SET payload = excluded.payload`;

/** Makes the tables, if they are not there. @throws {LocalError} BAD_ARGUMENT: the store has no database */
export async function createTables(tx: Transaction, clientId: string, date: number): Promise<void> {
  let out;
  try {
    out = await tx.get(`SELECT sql FROM sqlite_master WHERE name = 'mqtt_out'`);
  } catch (cause) {
    if (!(cause instanceof LocalError && cause.code === "BAD_ARGUMENT")) throw cause;
    const message =
      "MQTT needs a store with a database, as what is due to the broker must not be " +
      `lost: --store FILE on the command line (${cause.message})`;
    throw new LocalError("BAD_ARGUMENT", message, { cause });
  }
  if (out) {
    if (String(out.sql).includes("since")) return;
    tx.run(`ALTER TABLE mqtt_out ADD COLUMN ${SINCE}`); // a store of before
    return tx.run(`UPDATE mqtt_out SET since = ?`, date);
  }
  for (const sql of TABLES) tx.run(sql);
  tx.run(`INSERT INTO mqtt_session VALUES (1, ?, 0)`, clientId);
}

/** What the tables have when the bridge begins. */
export async function load(tx: Transaction): Promise<Kept & { clientId: string }> {
  const session = await tx.get(`SELECT client_id FROM mqtt_session`);
  const rows = await tx.all(
    `SELECT * FROM mqtt_out WHERE stage IN (${SENT}, ${RELEASED}) ORDER BY seq`,
  );
  const taken = await tx.all(`SELECT packet FROM mqtt_in`);
  return {
    clientId: String(session!.client_id),
    inFlight: rows.map((row): InFlight => ({
      ...toRow(row),
      isReleased: Number(row.stage) === RELEASED,
    })),
    taken: taken.map(({ packet }) => Number(packet)),
  };
}

/** Whether a broker had the session before. */
export async function isKnown(tx: Transaction): Promise<boolean> {
  return Number((await tx.get(`SELECT is_known FROM mqtt_session`))!.is_known) === 1;
}

/** A publication as it lies in the store. */
export interface Row extends Publication {
  /** When it was added, in ms since 1970. */
  readonly since: number;
}

/** Adds a publication; of a state (retained) the one that waits is replaced. */
export function publish(
  tx: Transaction,
  { topic, payload, retain, since }: Omit<Row, "seq">,
): void {
  tx.run(retain ? REPLACE : PUBLISH, topic, payload, retain ? 1 : 0, since);
}

/** The oldest ones that wait are `sent` from now on: they are what they are. @param end The first that may not be. */
export function markSent(tx: Transaction, most: number, end: number): void {
  tx.run(
    `UPDATE mqtt_out SET stage = ${SENT} WHERE seq IN (
      SELECT seq FROM mqtt_out WHERE stage = ${WAITING} AND seq < ? ORDER BY seq LIMIT ?
    )`,
    Math.min(end, Number.MAX_SAFE_INTEGER),
    most,
  );
}

/** Those that are `sent`, behind one. */
export async function sentBehind(tx: Transaction, seq: number): Promise<Row[]> {
  const sql = `SELECT * FROM mqtt_out WHERE stage = ${SENT} AND seq > ? ORDER BY seq`;
  return (await tx.all(sql, seq)).map(toRow);
}

/** Makes a task safe. What a message does is another matter. */
export function keep(tx: Transaction, task: Task): void {
  switch (task.does) {
    case "deliver":
      if (task.qos === 2) tx.run(`INSERT OR IGNORE INTO mqtt_in VALUES (?)`, task.packet);
      return;
    case "forget":
      return tx.run(`DELETE FROM mqtt_in WHERE packet = ?`, task.packet);
    case "release":
      return tx.run(`UPDATE mqtt_out SET stage = ${RELEASED} WHERE seq = ?`, task.seq);
    case "complete":
      return tx.run(`DELETE FROM mqtt_out WHERE seq = ?`, task.seq);
    case "resume":
      if (task.isPresent) return;
      tx.run(`DELETE FROM mqtt_in`);
      tx.run(`UPDATE mqtt_out SET stage = ${SENT} WHERE stage = ${RELEASED}`);
      tx.run(`UPDATE mqtt_session SET is_known = 1`);
  }
}

/** How much there is. */
export interface Amount {
  readonly rows: number;
  readonly bytes: number;
}

const AMOUNT = `count(*) AS n,
  coalesce(sum(length(CAST(topic AS BLOB)) + length(CAST(payload AS BLOB))), 0) AS bytes`;

export async function count(tx: Transaction): Promise<Amount> {
  const { n, bytes } = (await tx.get(`SELECT ${AMOUNT} FROM mqtt_out`))!;
  return { rows: Number(n), bytes: Number(bytes) };
}

/** When the oldest that waits was added, in ms since 1970. */
async function oldestWaiting(tx: Transaction): Promise<number | undefined> {
  const sql = `SELECT since FROM mqtt_out WHERE stage = ${WAITING} ORDER BY seq LIMIT 1`;
  const row = await tx.get(sql);
  return row && Number(row.since);
}

const EVENT_WAITS = `stage = ${WAITING} AND retain = 0`;

/** Gives events up that wait and were added by then. What was sent already is another matter. */
export function giveUp(tx: Transaction, by: number): void {
  tx.run(`UPDATE mqtt_out SET stage = ${GIVEN_UP} WHERE ${EVENT_WAITS} AND since <= ?`, by);
}

/** What was given up. */
export interface GivenUp extends Amount {
  /** When the oldest that still waits was added, in ms since 1970; and the oldest event. */
  readonly oldest: number | undefined;
  readonly oldestEvent: number | undefined;
}

/** Takes away what was given up. */
export async function takeGivenUp(tx: Transaction): Promise<GivenUp> {
  const gone = `stage = ${GIVEN_UP}`;
  const { n, bytes } = (await tx.get(`SELECT ${AMOUNT} FROM mqtt_out WHERE ${gone}`))!;
  if (Number(n) > 0) tx.run(`DELETE FROM mqtt_out WHERE ${gone}`);
  const event = await tx.get(`SELECT min(since) AS since FROM mqtt_out WHERE ${EVENT_WAITS}`);
  return {
    rows: Number(n),
    bytes: Number(bytes),
    oldest: await oldestWaiting(tx),
    oldestEvent: event?.since == null ? undefined : Number(event.since),
  };
}

export function bytesOf({ topic, payload }: { topic: string; payload: string }): number {
  return byteLength(topic) + byteLength(payload);
}

function toRow({ seq, topic, payload, retain, since }: SqlRow): Row {
  return {
    seq: Number(seq),
    topic: String(topic),
    payload: String(payload),
    retain: Number(retain) === 1,
    since: Number(since),
  };
}
