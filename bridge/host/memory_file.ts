/** A client's memory in an SQLite file. */
import { resolve } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { LocalError } from "../../server/protocol/errors.ts";
import { sqlite } from "../../server/transport/sqlite.ts";
import type { ClientMemory, KeptMessage, MemoryChange, Remembered } from "./memory.ts";

/** Marks an SQLite file as ours. */
const APPLICATION_ID = 0x48464d33; // "HFM3"

/** The mark of the format up to 0.1.0: 32 bytes, without an outbox. */
const OLD_MARK = 0x48464d32; // "HFM2"

/** Version of the schema. */
const VERSION = 4;

/** The schema, with the version that introduced each part. A file belongs to one client. */
const SCHEMA = [
  `
  CREATE TABLE client (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id BLOB NOT NULL,
    rx_epoch INTEGER NOT NULL, rx_next INTEGER NOT NULL, processed TEXT NOT NULL,
    tx_epoch INTEGER NOT NULL, tx_first INTEGER NOT NULL, tx_next INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE outbox (number INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;`,
  `
  ALTER TABLE client ADD COLUMN time INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE client ADD COLUMN date INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE client ADD COLUMN held TEXT;
  ALTER TABLE outbox ADD COLUMN expires INTEGER;`,
  // SQLite stops reading a text at a NUL.
  `
  ALTER TABLE client ADD COLUMN held_bytes BLOB;
  UPDATE client SET held_bytes = CAST(held AS BLOB);
  ALTER TABLE client DROP COLUMN held;
  ALTER TABLE client RENAME COLUMN held_bytes TO held;`,
  // The message at rx_next, if it was processed, had its digest here. Such a message counts as taken now.
  `
  UPDATE client SET rx_next = (rx_next + 1) % 4294967296 WHERE processed <> '0';
  ALTER TABLE client DROP COLUMN processed;`,
];

/** Bytes that the WAL file keeps when it is empty. */
const LOG_BYTES = 1024 * 1024;

/** Primary result codes of SQLite. */
const BUSY = 5;
const LOCKED = 6;
const CORRUPT = 11;
const FULL = 13;
const NOTADB = 26;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Paths that this process has open: SQLite's locks only work between processes. */
const inUse = new Set<string>();

interface ClientRow {
  id: Uint8Array;
  rx_epoch: number;
  rx_next: number;
  tx_epoch: number;
  tx_first: number;
  tx_next: number;
  time: number;
  date: number;
  held: Uint8Array | null;
}

interface OutboxRow {
  number: number;
  text: Uint8Array;
  expires: number | null;
}

/**
 * A client's memory in a file. A commit is one transaction and one fsync: it survives the end of the process and a loss
 * of power, if the disk keeps what was synced. The file is locked while it is open; the `-wal` file beside it is a part
 * of it. It belongs to one device. Never restore an old copy: it does not know what was sent since, and may give the
 * same numbers to other messages, which the server would drop as repeats.
 */
export class MemoryFile implements ClientMemory, Disposable {
  readonly kept: Remembered | undefined;
  readonly #id: Uint8Array;
  readonly #db: DatabaseSync;
  readonly #real: string;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #state: StatementSync;
  readonly #forget: StatementSync;
  readonly #withdraw: StatementSync;
  readonly #write: StatementSync;
  #closed = false;

  /**
   * Opens the file. If there is none, creates it, for its owner only (mode 0600).
   *
   * @param id The device's name.
   * @throws {LocalError} STORE_UNUSABLE: not a memory, damaged, another device's, in use, or not permitted. The file
   * is unchanged then.
   */
  constructor(readonly path: string, id: string) {
    this.#id = new TextEncoder().encode(id);
    const { DatabaseSync } = sqlite(`the memory ${JSON.stringify(path)}`);
    let db: DatabaseSync | undefined;
    let real: string | undefined;
    try {
      const located = locate(path);
      if (inUse.has(located)) throw refusal(path, "is in use by another client in this process");
      inUse.add(real = located);
      checkHeader(path, real);
      db = new DatabaseSync(real, { timeout: 0 });
      prepare(path, db);
      this.kept = this.#load(db, id);
      this.#begin = db.prepare("BEGIN IMMEDIATE");
      this.#commit = db.prepare("COMMIT");
      this.#state = db.prepare("REPLACE INTO client VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      this.#forget = db.prepare("DELETE FROM outbox WHERE number < ?");
      this.#withdraw = db.prepare("DELETE FROM outbox WHERE number = ?");
      this.#write = db.prepare("INSERT INTO outbox VALUES (?, ?, ?)");
    } catch (error) {
      db?.close();
      if (real !== undefined) inUse.delete(real);
      throw unusable(path, error);
    }
    this.#db = db;
    this.#real = real;
  }

  #load(db: DatabaseSync, id: string): Remembered | undefined {
    const row = db.prepare("SELECT * FROM client").get() as unknown as ClientRow | undefined;
    if (!row) return undefined;
    const owner = new TextDecoder().decode(row.id);
    if (owner !== id) {
      const [theirs, ours] = [owner, id].map((name) => JSON.stringify(name));
      throw refusal(
        this.path,
        `belongs to ${theirs}, not to ${ours}: give each client its own file`,
      );
    }
    const { rx_epoch, rx_next, tx_epoch, tx_first, tx_next, time, date, held } = row;
    const rows = db.prepare("SELECT number, text, expires FROM outbox ORDER BY number")
      .all() as unknown as OutboxRow[];
    const messages: KeptMessage[] = rows.map(({ number, text, expires }) => ({
      number,
      text,
      ...(expires !== null && { expires }),
    }));
    const [oldest = tx_first, newest = tx_next - 1] = [messages[0], messages.at(-1)]
      .map((message) => message?.number);
    const isRight = tx_first <= tx_next && tx_first <= oldest && newest < tx_next &&
      messages.every(({ text }) => text.length > 0);
    if (!isRight) throw damaged(this.path, "its rows contradict each other");
    return {
      progress: {
        position: { epoch: rx_epoch, next: rx_next },
        ...(held !== null && { held: decoder.decode(held) }),
      },
      outbox: { epoch: tx_epoch, first: tx_first, next: tx_next, messages },
      clock: { time, date },
    };
  }

  /** @throws {LocalError} STORE_FAILED; nothing has changed then */
  commit({ progress, clock, epoch, first, next, withdrawn, written }: MemoryChange): void {
    const { position, held } = progress;
    try {
      this.#begin.run();
      const { epoch: rxEpoch, next: rxNext } = position;
      const { time, date } = clock;
      this.#state.run(
        this.#id,
        rxEpoch,
        rxNext,
        epoch,
        first,
        next,
        time,
        date,
        held === undefined ? null : encoder.encode(held),
      );
      this.#forget.run(first);
      for (const number of withdrawn) this.#withdraw.run(number);
      for (const { number, text, expires = null } of written) {
        this.#write.run(number, text, expires);
      }
      this.#commit.run();
    } catch (cause) {
      this.#tryRollback();
      if (!(cause instanceof Error) || codeOf(cause) === undefined) throw cause;
      const fix = codeOf(cause) === FULL ? "; make room on its disk" : "";
      throw new LocalError(
        "STORE_FAILED",
        `nothing can be written to the memory ${JSON.stringify(this.path)}: ${cause.message}${fix}`,
        { cause },
      );
    }
  }

  #tryRollback(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
    } catch {
      // the error that led here matters; if this one persists, BEGIN will fail with it
    }
  }

  /** Closes the file. Everything that was committed stays. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    inUse.delete(this.#real);
    this.#db.close();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Resolves a path to its file, which is created if necessary. */
function locate(path: string): string {
  const absolute = resolve(path); // "file:" and ":memory:" are ordinary file names here
  try {
    Deno.openSync(absolute, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  if (!Deno.statSync(absolute).isFile) throw refusal(path, "is not a file: choose another path");
  return Deno.realPathSync(absolute);
}

/** Checks the first bytes before SQLite opens the file: opening another program's database may already change it. */
function checkHeader(path: string, real: string): void {
  const header = new Uint8Array(100);
  using file = Deno.openSync(real, { read: true, write: true }); // to check the permissions
  let length = 0;
  for (let n; (n = file.readSync(header.subarray(length))); length += n);
  if (length === 0) return;
  const view = new DataView(header.buffer);
  if (view.getUint32(0) === OLD_MARK) {
    throw refusal(
      path,
      "is from an earlier Holdfast, which kept no outbox. Without it, messages from the server may come twice: " +
        "delete it to go on",
    );
  }
  const magic = new TextDecoder().decode(header.subarray(0, 16));
  if (length < header.length || magic !== "SQLite format 3\0") {
    throw refusal(path, "is not a client's memory but some other file: choose another path");
  }
  if (view.getUint32(68) !== APPLICATION_ID) {
    throw refusal(path, "is another program's SQLite database: choose another path");
  }
}

/** Locks the file, gives it the schema and checks it. Exported for its test. */
export function prepare(path: string, db: DatabaseSync): void {
  const run = (sql: string): Record<string, unknown> => db.prepare(sql).get() ?? {};
  run("PRAGMA locking_mode = EXCLUSIVE");
  run("BEGIN EXCLUSIVE"); // fails if another process has it
  if (run("PRAGMA application_id").application_id !== APPLICATION_ID) {
    // In a transaction of its own: one page, so after a crash the file is either empty or marked as ours.
    run(`PRAGMA application_id = ${APPLICATION_ID}`);
    run("COMMIT");
    run("BEGIN EXCLUSIVE");
  }
  const found = Number(run("PRAGMA user_version").user_version);
  if (found > VERSION) {
    throw refusal(path, `was written by a newer Holdfast (schema ${found}): install that one`);
  }
  if (found < VERSION) {
    for (const sql of SCHEMA.slice(found)) db.exec(sql);
    run(`PRAGMA user_version = ${VERSION}`);
  }
  run("COMMIT");
  if (run("PRAGMA journal_mode = WAL").journal_mode !== "wal") {
    throw refusal(path, "is on a file system without support for SQLite's WAL: choose another");
  }
  run("PRAGMA synchronous = FULL");
  // For macOS, where a plain sync only reaches the disk's cache.
  run("PRAGMA fullfsync = ON");
  run("PRAGMA checkpoint_fullfsync = ON");
  run(`PRAGMA journal_size_limit = ${LOG_BYTES}`);
  const { quick_check: verdict } = run("PRAGMA quick_check(1)");
  if (verdict !== "ok") throw damaged(path, String(verdict));
}

function damaged(path: string, what: string, cause?: unknown): LocalError {
  return refusal(
    path,
    `is damaged (${what}). Without it, messages from the server may come twice, and those kept in it are lost: ` +
      "delete it to go on",
    cause,
  );
}

function refusal(path: string, what: string, cause?: unknown): LocalError {
  return new LocalError("STORE_UNUSABLE", `the memory ${JSON.stringify(path)} ${what}`, { cause });
}

/** Turns a failure to open into an error for the user. Bugs stay as they are. */
function unusable(path: string, error: unknown): unknown {
  if (error instanceof LocalError || !(error instanceof Error)) return error;
  const code = codeOf(error);
  if (code === BUSY || code === LOCKED) {
    return refusal(
      path,
      "is in use by another process: stop that one, or give each its own",
      error,
    );
  }
  if (code === CORRUPT || code === NOTADB) return damaged(path, error.message, error);
  if (code === undefined && !(error.name in Deno.errors) && !("code" in error)) return error;
  return refusal(path, `cannot be opened: ${error.message}`, error);
}

/** SQLite's primary result code; undefined if the error is not SQLite's. */
function codeOf(error: Error): number | undefined {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 255 : undefined;
}
