/** The bridge's tables in the server's store, and their migration. */
import { LocalError, type Transaction } from "../../server/mod.ts";

/** Stages of a publication; `GIVEN_UP`: it is never sent, and the next step counts and deletes it. */
export const [WAITING, SENT, RELEASED, GIVEN_UP] = [0, 1, 2, 3];

/** When it was added, in ms since 1970; for a state that was replaced, when the first was. */
const SINCE = "since INTEGER NOT NULL DEFAULT 0";

/** Differences between the databases that can hold the tables. */
export interface Schema {
  /** Whether several servers may have a bridge on this database; one at a time has the connection to the broker. */
  readonly isShared: boolean;
  /**
   * Adds a publication: topic, payload, retain, properties, since, and the window if `hasWindow`. If it may be sent at
   * once it is `sent` from the beginning, which saves a commit: that is, if none waits and fewer are under way than
   * the broker accepts. Only the statement itself can tell that when it runs.
   */
  readonly publish: string;
  /** If false, new publications wait: only the server with the connection knows whether they may be sent. */
  readonly hasWindow: boolean;
  /**
   * The oldest publications that wait, or that are `sent` with a later `seq`; parameters: the `seq`, and how many.
   * Each has a `place` in the queue, and sent ones a `seq`; `last` is the last `seq` that was assigned.
   */
  readonly behind: string;
  /** Marks waiting publications, up to a place, as `sent`. */
  readonly markSent: readonly string[];
  /** Adds a row of `mqtt_devices`: device, state, sleep; and the announcing server, if it is shared. */
  readonly tellDevice: string;
  /** Deletes that row: device; and the server that says so, where it is shared. Another server that runs keeps its own. */
  readonly forgetDevice: string;
  /** Topic filters, oldest first. */
  readonly filters: string;
}

/** A waiting state has one row. One that was sent does not change any more. */
const ONE_STATE = `CREATE UNIQUE INDEX IF NOT EXISTS mqtt_out_state ON mqtt_out (topic)
  WHERE retain = 1 AND stage = ${WAITING}`;

/** The last announcement of a device, and its will and welcome. */
const TELL_DEVICE =
  `ON CONFLICT (device) DO UPDATE SET state = excluded.state, sleep = excluded.sleep,
  is_welcomed = CASE WHEN excluded.state = 'offline' THEN 0 ELSE mqtt_devices.is_welcomed END`;

const SQLITE: Schema = {
  isShared: false,
  hasWindow: true,
  publish: `INSERT INTO mqtt_out (topic, payload, retain, properties, since, stage)
    VALUES (?, ?, ?, ?, ?, CASE
      WHEN EXISTS (SELECT 1 FROM mqtt_out WHERE stage = ${WAITING}) THEN ${WAITING}
      WHEN (SELECT count(*) FROM mqtt_out WHERE stage IN (${SENT}, ${RELEASED})) >= ? THEN ${WAITING}
      ELSE ${SENT} END)`,
  // Waiting ones come after all others.
  behind: `SELECT *, seq AS place, 0 AS last FROM mqtt_out
    WHERE stage IN (${WAITING}, ${SENT}) AND seq > ? ORDER BY seq LIMIT ?`,
  markSent: [`UPDATE mqtt_out SET stage = ${SENT} WHERE stage = ${WAITING} AND seq <= ?`],
  tellDevice: `INSERT INTO mqtt_devices (device, state, sleep) VALUES (?, ?, ?) ${TELL_DEVICE}`,
  forgetDevice: `DELETE FROM mqtt_devices WHERE device = ?`,
  filters: `SELECT * FROM mqtt_filters ORDER BY rowid`,
};

const SQLITE_TABLES = [
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
  ONE_STATE,
  `CREATE TABLE mqtt_in (packet INTEGER PRIMARY KEY)`,
  `CREATE TABLE mqtt_session (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    client_id TEXT NOT NULL,
    is_known INTEGER NOT NULL
  )`,
];

/** Tables that were added later. */
const SQLITE_ADDED_TABLES = [
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
  `CREATE TABLE IF NOT EXISTS mqtt_retained (
    topic TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    kept TEXT NOT NULL DEFAULT ''
  ) WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS mqtt_retained_by_device ON mqtt_retained (device)`,
];

/** Columns that stores with an earlier bridge lack. */
const ADDED: readonly [table: string, column: string][] = [
  ["mqtt_out", "properties TEXT"],
  ["mqtt_devices", "will TEXT"],
  ["mqtt_devices", "welcome TEXT"],
  ["mqtt_devices", "is_welcomed INTEGER NOT NULL DEFAULT 0"],
  ["mqtt_out", SINCE],
];

/**
 * Row numbers are not assigned in the order in which transactions become safe. So waiting rows have a `place`, which
 * orders the rows of one device: a server that takes over a device gets later numbers than the one that had it. The
 * `seq`, from which packet ids are made, is assigned by the sending server when a row is sent.
 */
const POSTGRES: Schema = {
  isShared: true,
  hasWindow: false,
  publish:
    `INSERT INTO mqtt_out (topic, payload, retain, properties, since) VALUES (?, ?, ?, ?, ?)`,
  behind: `(SELECT *, (SELECT last FROM mqtt_session) AS last FROM mqtt_out
      WHERE stage = ${SENT} AND seq > ? ORDER BY seq LIMIT ?)
    UNION ALL (SELECT *, (SELECT last FROM mqtt_session) AS last FROM mqtt_out
      WHERE stage = ${WAITING} ORDER BY place LIMIT ?)`,
  markSent: [
    `UPDATE mqtt_out AS o SET stage = ${SENT}, seq = s.last + w.n
      FROM (SELECT place, row_number() OVER (ORDER BY place) AS n FROM mqtt_out
        WHERE stage = ${WAITING} AND place <= ?) AS w, mqtt_session AS s
      WHERE o.place = w.place AND o.stage = ${WAITING}`,
    `UPDATE mqtt_session SET last = greatest(last, (SELECT max(seq) FROM mqtt_out))`,
  ],
  tellDevice: `INSERT INTO mqtt_devices (device, state, sleep, server) VALUES (?, ?, ?, ?)
    ${TELL_DEVICE}, server = excluded.server`,
  forgetDevice: `DELETE FROM mqtt_devices AS d WHERE device = ? AND NOT EXISTS (
    SELECT 1 FROM mqtt_servers AS s
      WHERE s.server = d.server AND s.server <> ? AND s.alive_until > clock_timestamp())`,
  filters: `SELECT * FROM mqtt_filters ORDER BY place`,
};

const PLACE = "place BIGINT GENERATED ALWAYS AS IDENTITY";

const POSTGRES_TABLES = [
  // If several servers start at the same time, one makes the tables.
  `SELECT pg_advisory_xact_lock(hashtext('holdfast mqtt'))`,
  `CREATE TABLE IF NOT EXISTS mqtt_out (
    ${PLACE} PRIMARY KEY,
    seq BIGINT UNIQUE,
    topic TEXT NOT NULL,
    payload TEXT NOT NULL,
    retain BIGINT NOT NULL,
    stage BIGINT NOT NULL DEFAULT ${WAITING},
    properties TEXT,
    since BIGINT NOT NULL
  )`,
  `CREATE INDEX IF NOT EXISTS mqtt_out_waiting ON mqtt_out (place) WHERE stage = ${WAITING}`,
  ONE_STATE,
  `CREATE TABLE IF NOT EXISTS mqtt_in (packet BIGINT PRIMARY KEY)`,
  // `round`: how often all servers had to announce their devices.
  `CREATE TABLE IF NOT EXISTS mqtt_session (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    client_id TEXT NOT NULL,
    is_known BIGINT NOT NULL,
    last BIGINT NOT NULL DEFAULT 0,
    round BIGINT NOT NULL DEFAULT 0
  )`,
  // `server` has the connection to the broker until `until`; the token grows with each server that gets the lease.
  `CREATE TABLE IF NOT EXISTS mqtt_lease (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    server TEXT NOT NULL,
    token BIGINT NOT NULL,
    until TIMESTAMPTZ NOT NULL
  )`,
  `INSERT INTO mqtt_lease VALUES (1, '', 0, '-infinity') ON CONFLICT DO NOTHING`,
  `CREATE TABLE IF NOT EXISTS mqtt_servers (server TEXT PRIMARY KEY, alive_until TIMESTAMPTZ NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS mqtt_requests (id BIGINT PRIMARY KEY, topic TEXT NOT NULL, correlation TEXT)`,
  // `round`: the last one in which the device was announced.
  `CREATE TABLE IF NOT EXISTS mqtt_devices (
    device TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    sleep BIGINT NOT NULL,
    will TEXT,
    welcome TEXT,
    is_welcomed BIGINT NOT NULL DEFAULT 0,
    server TEXT,
    round BIGINT NOT NULL DEFAULT 0
  )`,
  `ALTER TABLE mqtt_devices ADD COLUMN IF NOT EXISTS round BIGINT NOT NULL DEFAULT 0`,
  `CREATE TABLE IF NOT EXISTS mqtt_filters (
    filter TEXT PRIMARY KEY,
    is_granted BIGINT NOT NULL DEFAULT 0,
    ${PLACE}
  )`,
  `CREATE TABLE IF NOT EXISTS mqtt_retained (
    topic TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    kept TEXT NOT NULL DEFAULT ''
  )`,
  `CREATE INDEX IF NOT EXISTS mqtt_retained_by_device ON mqtt_retained (device)`,
];

/** Tables and indexes that these make. */
const POSTGRES_NAMES = POSTGRES_TABLES
  .flatMap((sql) => sql.match(/(?<=(TABLE|INDEX) IF NOT EXISTS )\w+/)?.[0] ?? []).join(",");

/**
 * Has a row if nothing of `POSTGRES_TABLES` is missing. Otherwise each start of a bridge would wait for all transactions
 * under way and hold up all later ones: PostgreSQL locks a table even if there is nothing to add to it.
 */
const IS_COMPLETE = `SELECT 1 FROM pg_attribute
  WHERE attrelid = to_regclass('mqtt_devices') AND attname = 'round' AND NOT attisdropped
    AND NOT EXISTS (
      SELECT 1 FROM unnest(string_to_array(?, ',')) AS name WHERE to_regclass(name) IS NULL)`;

/**
 * Creates the tables, if necessary.
 *
 * @returns how to use them
 * @throws {LocalError} BAD_ARGUMENT: the store has no database
 */
export async function createTables(
  tx: Transaction,
  clientId: string,
  date: number,
): Promise<Schema> {
  let session;
  try {
    session = await tx.get(`SELECT 1 FROM sqlite_master WHERE name = 'mqtt_session'`);
  } catch (cause) {
    if (!(cause instanceof LocalError)) return createShared(tx, clientId); // its tables are those of PostgreSQL
    if (cause.code !== "BAD_ARGUMENT") throw cause;
    const message = "MQTT needs a store with a database, so that messages for the broker are not " +
      `lost: --store FILE on the command line (${cause.message})`;
    throw new LocalError("BAD_ARGUMENT", message, { cause });
  }
  for (const sql of SQLITE_ADDED_TABLES) tx.run(sql);
  if (session) await addColumns(tx, date);
  else {
    for (const sql of SQLITE_TABLES) tx.run(sql);
    tx.run(`INSERT INTO mqtt_session VALUES (1, ?, 0)`, clientId);
  }
  return SQLITE;
}

async function createShared(tx: Transaction, clientId: string): Promise<Schema> {
  const isComplete = await tx.get(IS_COMPLETE, POSTGRES_NAMES);
  for (const sql of isComplete ? [] : POSTGRES_TABLES) tx.run(sql);
  tx.run(
    `INSERT INTO mqtt_session (one, client_id, is_known) VALUES (1, ?, 0) ON CONFLICT DO NOTHING`,
    clientId,
  );
  return POSTGRES;
}

async function addColumns(tx: Transaction, date: number): Promise<void> {
  for (const [table, column] of ADDED) {
    const row = await tx.get(`SELECT sql FROM sqlite_master WHERE name = ?`, table);
    if (!row || String(row.sql).includes(column)) continue; // a missing table is created by this transaction
    tx.run(`ALTER TABLE ${table} ADD COLUMN ${column}`);
    if (column === SINCE) tx.run(`UPDATE ${table} SET since = ?`, date);
  }
}
