/** The schema of an `SqliteStore`'s file, and its migrations. */

/** "HOLD": distinguishes a store from other SQLite files. */
export const APPLICATION_ID = 0x484f4c44;

/** Version of the schema below. */
export const SCHEMA_VERSION = 7;

/**
 * A record is completely in these tables. Names that begin with `holdfast_` belong to the store;
 * every other name is free for the application's own tables.
 *
 * Messages have ever growing numbers, in the order of their queue. An inbox begins at its device's
 * `processed`; an outbox ends before its `tx_next`. Dialect 2 uses the low 32 bits of these
 * numbers.
 */
export const SCHEMA = `
CREATE TABLE holdfast_devices (
  device INTEGER PRIMARY KEY,  -- in the other tables, for the id
  id TEXT NOT NULL UNIQUE,
  tx_epoch INTEGER NOT NULL,   -- the stream to the device
  tx_next INTEGER NOT NULL,    -- number of its next message
  next_id INTEGER NOT NULL,    -- dialect 1's for it
  rx_epoch INTEGER NOT NULL,   -- the stream from the device; 0: unknown
  rx_next INTEGER NOT NULL,    -- number of its next message, 32 bits
  connects INTEGER NOT NULL,   -- connections so far
  processed INTEGER NOT NULL,  -- messages that have left the inbox
  tx_sent INTEGER NOT NULL     -- number of the first message that cannot have been sent in dialect 2, 32 bits
) STRICT;
CREATE TABLE holdfast_inbox (
  device INTEGER NOT NULL,
  number INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE holdfast_outbox (
  device INTEGER NOT NULL,
  number INTEGER NOT NULL,
  id INTEGER,                  -- dialect 1's, once it was sent in that dialect
  text TEXT NOT NULL,          -- one NUL: withdrawn
  overtakes INTEGER NOT NULL,  -- 1: in dialect 1, does not wait for those ahead
  qos INTEGER NOT NULL,        -- 0: is withdrawn when the connection ends
  written INTEGER NOT NULL,    -- when, in ms on the store's clock
  expires INTEGER,             -- from when on it is not sent any more, on that clock; NULL: never
  is_doubtful INTEGER NOT NULL DEFAULT 0,  -- 1: the device may have it, and cannot say so any more
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE holdfast_heard (  -- in dialect 1, what each id carried last: it tells repeats
  device INTEGER NOT NULL,
  id INTEGER NOT NULL,
  hash INTEGER NOT NULL,       -- of the text, 53 bits
  position INTEGER NOT NULL,   -- among all messages heard
  connection INTEGER NOT NULL, -- the value of connects at that time
  PRIMARY KEY (device, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE holdfast_store (   -- one row: see mark.ts
  is_open INTEGER NOT NULL,    -- 1 until it is closed: its log (-wal) is a part of it
  copied INTEGER,              -- when, in ms since 1970, if it is a backup that nobody has opened yet
  time INTEGER,                -- when this was written, in ms on the store's clock; NULL: not yet
  date INTEGER NOT NULL,       -- the same in ms since 1970
  boot TEXT,                   -- and since this start of the machine
  uptime INTEGER NOT NULL
) STRICT;
INSERT INTO holdfast_store VALUES (0, NULL, NULL, 0, NULL, 0);
CREATE TABLE holdfast_dead_letters (  -- messages from devices that were given up
  device INTEGER NOT NULL,
  number INTEGER NOT NULL,     -- the one that it had in the inbox
  text TEXT NOT NULL,
  error TEXT NOT NULL,         -- why
  date INTEGER NOT NULL,       -- when, in ms since 1970
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE holdfast_memos (  -- small values that the layer above the link keeps
  device INTEGER NOT NULL,
  key TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (device, key)
) STRICT, WITHOUT ROWID;
`;

/**
 * Migrations from each version to the next; the first is from 1 to 2. They run in the transaction that writes the new
 * version, so a file has one schema or the other, never a mixture. Released ones never change: a new schema is a new
 * entry here, and the same change in `SCHEMA`, with the new version.
 */
export const MIGRATIONS: readonly string[] = [
  // To 2. It was not known what had been sent: possibly everything.
  `
ALTER TABLE holdfast_devices ADD COLUMN tx_sent INTEGER NOT NULL DEFAULT 0;
UPDATE holdfast_devices SET tx_sent = tx_next % 4294967296;
`,
  // To 3. It was not known when messages were written: now at the latest.
  `
ALTER TABLE holdfast_outbox ADD COLUMN written INTEGER NOT NULL DEFAULT 0;
UPDATE holdfast_outbox SET written = CAST(unixepoch('subsec') * 1000 AS INTEGER);
`,
  // To 4. The store's clock starts at the date, on which times were before.
  `
CREATE TABLE holdfast_store (
  is_open INTEGER NOT NULL,
  copied INTEGER,
  time INTEGER,
  date INTEGER NOT NULL,
  boot TEXT,
  uptime INTEGER NOT NULL
) STRICT;
INSERT INTO holdfast_store VALUES (0, NULL, NULL, 0, NULL, 0);
`,
  // To 5. There were no dead letters.
  `
CREATE TABLE holdfast_dead_letters (  -- messages from devices that were given up
  device INTEGER NOT NULL,
  number INTEGER NOT NULL,     -- the one that it had in the inbox
  text TEXT NOT NULL,
  error TEXT NOT NULL,         -- why
  date INTEGER NOT NULL,       -- when, in ms since 1970
  PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;
`,
  // To 6. No message had a deadline.
  `
ALTER TABLE holdfast_outbox ADD COLUMN expires INTEGER;
ALTER TABLE holdfast_outbox ADD COLUMN is_doubtful INTEGER NOT NULL DEFAULT 0;
`,
  // To 7. There were no memos.
  `
CREATE TABLE holdfast_memos (  -- small values that the layer above the link keeps
  device INTEGER NOT NULL,
  key TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (device, key)
) STRICT, WITHOUT ROWID;
`,
];

/** The version to which these migrations lead. */
export function newestVersion(migrations: readonly string[]): number {
  return migrations.length + 1;
}
