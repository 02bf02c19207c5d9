/** Opens the file of an `SqliteStore`, and refuses other files. */
import { resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { LocalError } from "../../protocol/errors.ts";
import { sqlite } from "../../transport/sqlite.ts";
import { APPLICATION_ID, MIGRATIONS, newestVersion, SCHEMA, SCHEMA_VERSION } from "./schema.ts";

/** What a finished commit survives: see `SqliteStoreOptions`. */
export type Durability = "full" | "normal";

/** Pages of 4 KB in the log (WAL) after which it is moved into the file. */
export const CHECKPOINT_PAGES = 1000;

/** Bytes that the log keeps when it is empty: twice what it has between two checkpoints. */
const LOG_BYTES = 2 * CHECKPOINT_PAGES * 4096;

/** Files up to this size are checked completely when opened, in about 0.1 s; in larger ones only what is loaded. */
export const CHECKED_BYTES = 64 * 1024 * 1024;

/** Paths that this process has open. SQLite's locks only work between processes: opening and closing
 * a file that is already in use here would drop them. */
const inUse = new Set<string>();

/** Whether this process has the file at a real path open. */
export function isInUse(real: string): boolean {
  return inUse.has(real);
}

/** A store's file, locked against every other process until it is closed. */
export interface OpenDatabase {
  db: DatabaseSync;
  /** Its real path. */
  path: string;
  /**
   * A handle that reads the file itself. It stays open as long as the database: closing it would drop SQLite's locks.
   */
  reader(): Deno.FsFile;
  /** Whether there was a log (WAL) beside it. */
  hadLog: boolean;
  /** Whether the file is no longer where it was opened: then nothing should be written. */
  isMoved(): boolean;
  /** Closes it; its log is moved into the file. */
  close(): void;
}

/**
 * Opens a store's file. If there is none, creates it, for its owner only (mode 0600). Migrates a file with an older
 * schema.
 *
 * @param migrations Tests pass others than the product's.
 * @throws {LocalError} STORE_UNUSABLE, with the cause and what to do. The file is unchanged then.
 */
export function openDatabase(
  path: string,
  durability: Durability,
  migrations: readonly string[] = MIGRATIONS,
): OpenDatabase {
  const { DatabaseSync } = sqlite(`the store ${JSON.stringify(path)}`);
  const absolute = resolve(path); // "file:" and ":memory:" are ordinary file names here
  let real: string;
  try {
    real = locate(path, absolute);
  } catch (error) {
    throw unusable(path, error);
  }
  if (inUse.has(real)) {
    throw refusal(path, "is in use by another server in this process: give each its own");
  }
  inUse.add(real);
  let db: DatabaseSync | undefined;
  const hadLog = sizeOf(`${real}-wal`) > 0;
  const inode = inodeOf(real);
  try {
    checkHeader(path, real, newestVersion(migrations), hadLog);
    db = new DatabaseSync(real, { timeout: 0, enableForeignKeyConstraints: false });
    prepare(path, db, migrations);
    configure(path, db, durability);
  } catch (error) {
    db?.close();
    inUse.delete(real);
    throw unusable(path, error);
  }
  const opened = db;
  let reader: Deno.FsFile | undefined;
  return {
    db: opened,
    path: real,
    reader: () => reader ??= Deno.openSync(real),
    hadLog,
    isMoved: () => inodeOf(real) !== inode,
    close() {
      inUse.delete(real);
      opened.close();
      reader?.close();
    },
  };
}

/** Resolves a path to its file, which is created if necessary. */
function locate(path: string, absolute: string): string {
  try {
    Deno.openSync(absolute, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      // Report what is wrong with an existing path.
      if (error instanceof Deno.errors.NotFound || !exists(absolute)) throw error;
    }
  }
  const { isDirectory, isFile } = Deno.statSync(absolute);
  if (isDirectory) throw refusal(path, "is a directory: add the name of a file to it");
  if (!isFile) throw refusal(path, "is not a regular file: choose another path");
  return Deno.realPathSync(absolute);
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function inodeOf(path: string): number | null | undefined {
  try {
    return Deno.statSync(path).ino;
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Checks the first bytes before SQLite opens the file: opening another program's database may already
 * change it. An empty file has nothing to lose, unless there is a log beside it, which SQLite would
 * delete.
 */
function checkHeader(path: string, real: string, newest: number, hasLog: boolean): void {
  const header = new Uint8Array(100);
  using file = Deno.openSync(real, { read: true, write: true }); // to check the permissions
  let length = 0;
  for (let n; (n = file.readSync(header.subarray(length))); length += n);
  if (length === 0 && hasLog) throw damaged(path, "it is empty, but the log beside it is not");
  if (length === 0) return;
  // A power cut may leave this if the file system had written the file's length, but not yet its contents.
  if (header.every((byte) => byte === 0)) throw damaged(path, "it begins with zeros");
  const magic = new TextDecoder().decode(header.subarray(0, Math.min(length, 16)));
  if (!"SQLite format 3\0".startsWith(magic)) {
    throw refusal(path, "is not a store but some other file: choose another path");
  }
  if (length < header.length) throw damaged(path, `it has only ${length} bytes`);
  const view = new DataView(header.buffer);
  if (view.getUint32(68) !== APPLICATION_ID) {
    throw refusal(path, "is another program's SQLite database: choose another path");
  }
  checkVersion(path, view.getUint32(60), newest);
}

function checkVersion(path: string, version: number, newest: number): void {
  if (version <= newest) return;
  throw refusal(
    path,
    `was written by a newer Holdfast (schema ${version}; this one knows ${newest}): ` +
      "install that one, or choose another path",
  );
}

/** Executes one statement; returns its first row. */
export function run(db: DatabaseSync, sql: string): Record<string, unknown> {
  return db.prepare(sql).get() ?? {};
}

/** Locks a file, and gives it the newest schema. */
function prepare(path: string, db: DatabaseSync, migrations: readonly string[]): void {
  run(db, "PRAGMA locking_mode = EXCLUSIVE");
  run(db, "BEGIN EXCLUSIVE"); // fails if there is another server, or no permission to write
  if (run(db, "PRAGMA application_id").application_id !== APPLICATION_ID) {
    // In a transaction of its own: one page, so after a crash the file is either empty or marked as ours.
    run(db, `PRAGMA application_id = ${APPLICATION_ID}`);
    run(db, "COMMIT");
    run(db, "BEGIN EXCLUSIVE");
  }
  const newest = newestVersion(migrations);
  const found = Number(run(db, "PRAGMA user_version").user_version);
  checkVersion(path, found, newest);
  if (found === 0) db.exec(SCHEMA);
  // All in one transaction: after a power cut the file has its old schema.
  for (const sql of migrations.slice((found || SCHEMA_VERSION) - 1)) db.exec(sql);
  if (found !== newest) run(db, `PRAGMA user_version = ${newest}`);
  run(db, "COMMIT");
}

/** Sets options that the file does not store, and checks the file. */
function configure(path: string, db: DatabaseSync, durability: Durability): void {
  if (run(db, "PRAGMA journal_mode = WAL").journal_mode !== "wal") {
    throw refusal(path, "is on a file system without support for SQLite's WAL: choose another");
  }
  run(db, `PRAGMA synchronous = ${durability === "full" ? "FULL" : "NORMAL"}`);
  // On macOS a plain sync only reaches the disk's cache; elsewhere these have no effect.
  run(db, `PRAGMA fullfsync = ${durability === "full" ? "ON" : "OFF"}`);
  run(db, "PRAGMA checkpoint_fullfsync = ON");
  run(db, `PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  run(db, `PRAGMA journal_size_limit = ${LOG_BYTES}`);
  const bytes = Number(run(db, "PRAGMA page_count").page_count) *
    Number(run(db, "PRAGMA page_size").page_size);
  if (bytes > CHECKED_BYTES) return;
  const { quick_check: found } = run(db, "PRAGMA quick_check(1)");
  if (found !== "ok") throw damaged(path, String(found));
}

export function damaged(path: string, what: string, cause?: unknown): LocalError {
  return refusal(
    path,
    `is damaged (${what}): restore a backup, or move it away to start with an empty one`,
    cause,
  );
}

function refusal(path: string, what: string, cause?: unknown): LocalError {
  return new LocalError("STORE_UNUSABLE", `the store ${JSON.stringify(path)} ${what}`, { cause });
}

/** Turns a failure to open or load into an error for the user. Bugs stay as they are. */
export function unusable(path: string, error: unknown): unknown {
  if (error instanceof LocalError || !(error instanceof Error)) return error;
  const code = sqliteCode(error);
  if (code === Code.BUSY || code === Code.LOCKED) {
    const what = "is in use by another server: stop that one, or give each its own";
    return refusal(path, what, error);
  }
  if (code === Code.CORRUPT || code === Code.NOTADB) return damaged(path, error.message, error);
  if (code !== undefined) return refusal(path, `cannot be used: ${explain(error)}`, error);
  if (error instanceof Deno.errors.NotFound) {
    return refusal(path, "is in a folder that does not exist: create that first", error);
  }
  if (error instanceof Deno.errors.NotCapable) {
    const what = "cannot be accessed: run Deno with --allow-read and --allow-write for its folder";
    return refusal(path, what, error);
  }
  const { code: osCode } = error as { code?: unknown };
  if (error instanceof Deno.errors.PermissionDenied || osCode === "EROFS") {
    const what = "cannot be opened: give this user read and write access to it and its folder";
    return refusal(path, what, error);
  }
  if (error.name in Deno.errors || osCode !== undefined) {
    return refusal(path, `cannot be opened: ${error.message}`, error);
  }
  return error;
}

/** Primary result codes of SQLite. */
const Code = {
  BUSY: 5,
  LOCKED: 6,
  NOMEM: 7,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  NOTADB: 26,
} as const;

/** What to do about errors, by code. */
const fixes: Record<number, string> = {
  [Code.BUSY]: "another process has locked the file: end that one",
  [Code.NOMEM]: "there is no memory left",
  [Code.READONLY]: "the file or its folder is read-only: give this user write access",
  [Code.IOERR]: "the disk has failed or is full: check it",
  [Code.CORRUPT]: "stop the server and restore a backup",
  [Code.FULL]: "make room on its disk",
  [Code.CANTOPEN]:
    "the log beside the file cannot be created: give this user write access to the folder",
};

/** Whether it comes from the file or its disk, not from a bug of ours. */
export function isSqlite(error: unknown): boolean {
  return error instanceof Error && sqliteCode(error) !== undefined;
}

/** Whether the disk is the reason, not the statement. */
export function isDisk(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = sqliteCode(error);
  return code === Code.FULL || code === Code.IOERR || code === Code.READONLY;
}

/** SQLite's primary result code; undefined if the error is not SQLite's. */
function sqliteCode(error: Error): number | undefined {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 255 : undefined;
}

/** SQLite's message, and what to do about it. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const fix = fixes[sqliteCode(error) ?? 0];
  return fix ? `${error.message}; ${fix}` : error.message;
}
