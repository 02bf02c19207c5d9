/** The tables of a `PostgresStore`, and their migrations. */
import { LocalError } from "../../protocol/errors.ts";
import { SIGHTS } from "./sights.ts";
import type { Wire } from "./wire.ts";

/** Version of the schema below. */
export const SCHEMA_VERSION = 2;

/** The advisory lock that a process holds while it creates or changes tables: "HOLD". */
export const LOCK = 0x484f4c44;

/**
 * A record is completely in these tables; `store/sqlite/schema.ts` explains the columns. Every other name is free for
 * the application's own tables. Texts and ids are encoded by `toText`, as PostgreSQL's texts cannot contain NUL.
 *
 * A token is a number that is never used again, not even for a device that was forgotten since. A device's number is
 * the token with which it was first committed.
 *
 * There are no foreign keys, because each message would lock its device's row again.
 */
export const SCHEMA: readonly string[] = [
  `CREATE TABLE holdfast_store (
    one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    version BIGINT NOT NULL
  )`,
  `CREATE SEQUENCE holdfast_tokens`,
  // Servers. `batch` is the last one committed; a commit with another `gate` is too late. After `alive_until`, on the
  // database's clock, others may take the server's devices.
  `CREATE TABLE holdfast_processes (
    process BIGINT PRIMARY KEY,
    gate BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    alive_until TIMESTAMPTZ NOT NULL DEFAULT now()
  )`,
  // `process` has the device, if that is alive. `looks`: how often other processes have looked at it.
  `CREATE TABLE holdfast_devices (
    device BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    token BIGINT NOT NULL,
    process BIGINT,
    looks BIGINT NOT NULL DEFAULT 0,
    tx_epoch BIGINT NOT NULL,
    tx_next BIGINT NOT NULL,
    tx_sent BIGINT NOT NULL,
    next_id BIGINT NOT NULL,
    rx_epoch BIGINT NOT NULL,
    rx_next BIGINT NOT NULL,
    connects BIGINT NOT NULL,
    processed BIGINT NOT NULL
  )`,
  `CREATE TABLE holdfast_inbox (
    device BIGINT NOT NULL,
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (device, number)
  )`,
  // Times in ms since 1970 on the database's clock.
  `CREATE TABLE holdfast_outbox (
    device BIGINT NOT NULL,
    number BIGINT NOT NULL,
    id BIGINT,
    text TEXT NOT NULL,
    overtakes BIGINT NOT NULL,
    qos BIGINT NOT NULL,
    written BIGINT NOT NULL,
    expires BIGINT,
    is_doubtful BIGINT NOT NULL,
    sender TEXT,
    PRIMARY KEY (device, number)
  )`,
  `CREATE TABLE holdfast_heard (
    device BIGINT NOT NULL,
    id BIGINT NOT NULL,
    hash BIGINT NOT NULL,
    position BIGINT NOT NULL,
    connection BIGINT NOT NULL,
    PRIMARY KEY (device, id)
  )`,
  `CREATE TABLE holdfast_dead_letters (
    device BIGINT NOT NULL,
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    error TEXT NOT NULL,
    date BIGINT NOT NULL,
    PRIMARY KEY (device, number)
  )`,
  `CREATE TABLE holdfast_memos (
    device BIGINT NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (device, key)
  )`,
  // Orders for devices that other servers have. `sender` is a process and its number for it.
  `CREATE TABLE holdfast_mail (
    device BIGINT NOT NULL,
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    sender TEXT NOT NULL,
    posted TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (device, number)
  )`,
  // Notes to a process: a device that another one has taken, with its token; or the answer to a post.
  `CREATE TABLE holdfast_notes (
    process BIGINT NOT NULL,
    note BIGINT NOT NULL,
    id TEXT,
    token BIGINT,
    number BIGINT,
    text TEXT,
    PRIMARY KEY (process, note)
  )`,
  ...SIGHTS,
];

/**
 * Migrations from each version to the next; the first is from 1 to 2. Released ones never change: a new schema is a new
 * entry here, and the same change in `SCHEMA`, with the new version.
 */
export const MIGRATIONS: readonly (readonly string[])[] = [SIGHTS];

/**
 * Gives a database the newest schema, in one transaction. If several servers do so at the same time, one does
 * it.
 *
 * @param migrations Tests pass others than the product's.
 * @throws {LocalError} STORE_UNUSABLE: a newer Holdfast has written it; it is unchanged
 * @throws {Error} the database's
 */
export async function migrate(
  wire: Wire,
  about: string,
  migrations: readonly (readonly string[])[] = MIGRATIONS,
): Promise<void> {
  const newest = migrations.length + 1;
  const isNew = (version: number | undefined) => {
    if (version === undefined || version <= newest) return version !== newest;
    throw new LocalError(
      "STORE_UNUSABLE",
      `the store ${about} was written by a newer Holdfast (schema ${version}; this one knows ${newest}): ` +
        "install that one, or choose another database",
    );
  };
  if (!isNew(await versionOf(wire))) return;
  // Before the transaction, which then sees tables created meanwhile.
  await wire.ask("SELECT pg_advisory_lock($1)", [LOCK]);
  await wire.ask("BEGIN");
  try {
    const version = await versionOf(wire); // it may have changed by now
    if (isNew(version)) {
      const steps = version === undefined ? SCHEMA : [];
      const rest = migrations.slice((version ?? SCHEMA_VERSION) - 1).flat();
      for (const sql of [...steps, ...rest]) await wire.ask(sql);
      await wire.ask(
        version === undefined
          ? "INSERT INTO holdfast_store (version) VALUES ($1)"
          : "UPDATE holdfast_store SET version = $1",
        [newest],
      );
    }
    await wire.ask("COMMIT");
  } catch (error) {
    if (wire.isOpen) await wire.ask("ROLLBACK");
    throw error;
  } finally {
    if (wire.isOpen) await wire.ask("SELECT pg_advisory_unlock($1)", [LOCK]);
  }
}

/** undefined: there is no schema yet. */
async function versionOf(wire: Wire): Promise<number | undefined> {
  const table = "SELECT to_regclass('holdfast_store') IS NOT NULL AS is_there";
  if ((await wire.ask(table)).rows[0]!.is_there === 0) return undefined;
  const { rows } = await wire.ask("SELECT version FROM holdfast_store");
  return Number(rows[0]!.version);
}
