/** What of the bridge lies in the server's store, and how much of it there may be. */
import { LocalError, type SqlRow, type Transaction } from "../../server/mod.ts";
import { byteLength } from "../../server/protocol/lines.ts";
import type { Kept } from "./mqtt_session.ts";
import { endOfIds } from "./outgoing.ts";
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
    properties TEXT,
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

/** Likewise, if they are not there yet. */
const ADDED_TABLES = [
  `CREATE TABLE IF NOT EXISTS mqtt_requests (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    correlation TEXT
  )`,
  `CREATE TABLE IF NOT EXISTS mqtt_devices (
    device TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    sleep INTEGER NOT NULL,
    will TEXT,
    welcome TEXT,
    is_welcomed INTEGER NOT NULL DEFAULT 0
  )`,
  `CREATE TABLE IF NOT EXISTS mqtt_filters (
    filter TEXT PRIMARY KEY,
    is_granted INTEGER NOT NULL DEFAULT 0
  )`,
];

/** What stores do not have in which a bridge was before. */
const ADDED: readonly [table: string, column: string][] = [
  ["mqtt_out", "properties TEXT"],
  ["mqtt_devices", "will TEXT"],
  ["mqtt_devices", "welcome TEXT"],
  ["mqtt_devices", "is_welcomed INTEGER NOT NULL DEFAULT 0"],
  ["mqtt_out", SINCE],
];

/**
 * What is added is `sent` from the beginning if it may go out at once: then it takes no further commit. Nothing overtakes
 * what waits, and as many are under way as the broker takes. Only the statement can tell, when its turn comes.
 */
const PUBLISH = `INSERT INTO mqtt_out (topic, payload, retain, properties, since, stage)
  VALUES (?, ?, ?, ?, ?, CASE
    WHEN EXISTS (SELECT 1 FROM mqtt_out WHERE stage = ${WAITING}) THEN ${WAITING}
    WHEN (SELECT count(*) FROM mqtt_out WHERE stage IN (${SENT}, ${RELEASED})) >= ? THEN ${WAITING}
    ELSE ${SENT} END)`;

/** Takes the place of the one that waits: so a state that changes fast does not wait for ever behind the others. */
const OR_REPLACE = `ON CONFLICT (topic) WHERE retain = 1 AND stage = ${WAITING}
  DO UPDATE SET payload = excluded.payload`;

const REPLACE = `${PUBLISH} ${OR_REPLACE}`;

/** Makes the tables, if they are not there. @throws {LocalError} BAD_ARGUMENT: the store has no database of SQLite's */
export async function createTables(tx: Transaction, clientId: string, date: number): Promise<void> {
  let session;
  try {
    session = await tx.get(`SELECT 1 FROM sqlite_master WHERE name = 'mqtt_session'`);
  } catch (cause) {
    if (cause instanceof LocalError && cause.code !== "BAD_ARGUMENT") throw cause;
    const isOther = !(cause instanceof LocalError); // its tables are those of another database
    const message = isOther
      ? "MQTT needs a store in SQLite so far, and not in PostgreSQL"
      : "MQTT needs a store with a database, as what is due to the broker must not be " +
        `lost: --store FILE on the command line (${cause.message})`;
    throw new LocalError("BAD_ARGUMENT", message, { cause });
  }
  for (const sql of ADDED_TABLES) tx.run(sql);
  if (session) return await addColumns(tx, date);
  for (const sql of TABLES) tx.run(sql);
  tx.run(`INSERT INTO mqtt_session VALUES (1, ?, 0)`, clientId);
}

async function addColumns(tx: Transaction, date: number): Promise<void> {
  for (const [table, column] of ADDED) {
    const row = await tx.get(`SELECT sql FROM sqlite_master WHERE name = ?`, table);
    if (!row || String(row.sql).includes(column)) continue; // without it, it is made by this transaction
    tx.run(`ALTER TABLE ${table} ADD COLUMN ${column}`);
    if (column === SINCE) tx.run(`UPDATE ${table} SET since = ?`, date);
  }
}

/** What the tables have when the bridge begins. @param own Filters of the bridge's own, which they have from now on. */
export async function load(
  tx: Transaction,
  own: readonly string[],
): Promise<Kept & { clientId: string }> {
  const session = await tx.get(`SELECT client_id FROM mqtt_session`);
  const underWay = `stage IN (${SENT}, ${RELEASED})`;
  const rows = await tx.all(`SELECT * FROM mqtt_out WHERE ${underWay} ORDER BY seq`);
  const end = endOfIds(Number(rows[0]?.seq ?? 0));
  const taken = await tx.all(`SELECT packet FROM mqtt_in`);
  const filters = await tx.all(`SELECT * FROM mqtt_filters ORDER BY rowid`);
  keepFilters(tx, own);
  return {
    clientId: String(session!.client_id),
    inFlight: rows.map((row): InFlight => ({
      ...toPublication(row),
      isReleased: Number(row.stage) === RELEASED,
    })).filter(({ seq }) => seq < end), // those behind wait for their ids
    taken: taken.map(({ packet }) => Number(packet)),
    filters: filters.map(({ filter, is_granted }) => ({
      filter: String(filter),
      isGranted: Number(is_granted) === 1,
    })),
  };
}

/** Topic filters that a broker may have, oldest first. */
export async function knownFilters(tx: Transaction): Promise<string[]> {
  const rows = await tx.all(`SELECT filter FROM mqtt_filters ORDER BY rowid`);
  return rows.map(({ filter }) => String(filter));
}

/** Whether a broker had the session before. */
export async function isKnown(tx: Transaction): Promise<boolean> {
  return Number((await tx.get(`SELECT is_known FROM mqtt_session`))!.is_known) === 1;
}

/** What is to be published. */
export type Message = Omit<Publication, "seq">;

/** A publication as it lies in the store. */
export interface Row extends Publication {
  /** When it was added, in ms since 1970. */
  readonly since: number;
  /** Else it waits, and may become another. */
  readonly isSent: boolean;
}

/**
 * Adds a publication; of a state (retained) the one that waits is replaced.
 *
 * @param since In ms since 1970.
 * @param window If nothing waits and fewer are under way, it is `sent` from the beginning. 0: it waits.
 */
export function publish(
  tx: Transaction,
  { topic, payload, retain, properties }: Message,
  { since, window }: { since: number; window: number },
): void {
  const sql = retain ? REPLACE : PUBLISH;
  tx.run(sql, topic, payload, retain ? 1 : 0, properties ?? null, since, window);
}

/** Adds what a device has said of itself, if this is so of its row when the transaction becomes safe. */
export function publishOf(
  tx: Transaction,
  device: string,
  said: "will" | "welcome",
  { where, since }: { where: string; since: number },
): void {
  tx.run(
    `INSERT INTO mqtt_out (topic, payload, retain, since)
      SELECT json_extract(${said}, '$.topic'), json_extract(${said}, '$.payload'),
        json_extract(${said}, '$.retain'), ?
      FROM mqtt_devices WHERE device = ? AND ${said} IS NOT NULL AND ${where} ${OR_REPLACE}`,
    since,
    device,
  );
}

/** Those that wait are `sent` from now on, up to this one: they are what they are. */
export function markSent(tx: Transaction, last: number): void {
  tx.run(`UPDATE mqtt_out SET stage = ${SENT} WHERE stage = ${WAITING} AND seq <= ?`, last);
}

/** The oldest ones behind one that are `sent`, or wait. Those that wait are behind all others. */
export async function behind(tx: Transaction, seq: number, most: number): Promise<Row[]> {
  const stages = `stage IN (${WAITING}, ${SENT})`;
  const sql = `SELECT * FROM mqtt_out WHERE ${stages} AND seq > ? ORDER BY seq LIMIT ?`;
  return (await tx.all(sql, seq, most)).map((row) => ({
    ...toPublication(row),
    since: Number(row.since),
    isSent: Number(row.stage) === SENT,
  }));
}

/** Whether something waits, or is under way, to a topic. */
export async function isUnderWay(tx: Transaction, topic: string): Promise<boolean> {
  return await tx.get(`SELECT 1 FROM mqtt_out WHERE topic = ? LIMIT 1`, topic) !== undefined;
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
      tx.run(`UPDATE mqtt_session SET is_known = 1`);
      if (task.isPresent) return;
      tx.run(`DELETE FROM mqtt_in`);
      tx.run(`UPDATE mqtt_out SET stage = ${SENT} WHERE stage = ${RELEASED}`);
      return tx.run(`UPDATE mqtt_filters SET is_granted = 0`);
    case "subscribe":
      return keepFilters(tx, task.filters);
    case "subscribed":
      return grant(tx, task.granted, 1);
    case "unsubscribe":
      return grant(tx, task.filters, 0);
    case "unsubscribed":
      for (const filter of task.filters) {
        tx.run(`DELETE FROM mqtt_filters WHERE filter = ?`, filter);
      }
  }
}

function grant(tx: Transaction, filters: readonly string[], isGranted: 0 | 1): void {
  for (const filter of filters) {
    tx.run(`UPDATE mqtt_filters SET is_granted = ? WHERE filter = ?`, isGranted, filter);
  }
}

function keepFilters(tx: Transaction, filters: readonly string[]): void {
  for (const filter of filters) {
    tx.run(`INSERT OR IGNORE INTO mqtt_filters (filter) VALUES (?)`, filter);
  }
}

/** How much there is. */
export interface Amount {
  readonly rows: number;
  readonly bytes: number;
}

const AMOUNT = `count(*) AS n,
  coalesce(sum(length(CAST(topic AS BLOB)) + length(CAST(payload AS BLOB))
    + coalesce(length(CAST(properties AS BLOB)), 0)), 0) AS bytes`;

export async function count(tx: Transaction): Promise<Amount> {
  const { n, bytes } = (await tx.get(`SELECT ${AMOUNT} FROM mqtt_out`))!;
  return { rows: Number(n), bytes: Number(bytes) };
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
  return {
    rows: Number(n),
    bytes: Number(bytes),
    oldest: await oldest(tx, `stage = ${WAITING}`),
    oldestEvent: await oldest(tx, EVENT_WAITS),
  };
}

async function oldest(tx: Transaction, which: string): Promise<number | undefined> {
  const row = await tx.get(`SELECT since FROM mqtt_out WHERE ${which} ORDER BY seq LIMIT 1`);
  return row && Number(row.since);
}

export function bytesOf({ topic, payload, properties = "" }: Omit<Message, "retain">): number {
  return byteLength(topic) + byteLength(payload) + byteLength(properties);
}

function toPublication({ seq, topic, payload, retain, properties }: SqlRow): Publication {
  return {
    seq: Number(seq),
    topic: String(topic),
    payload: String(payload),
    retain: Number(retain) === 1,
    ...(properties !== null && { properties: String(properties) }),
  };
}
