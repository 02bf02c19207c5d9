/**
 * Copies a store's file while commits go on.
 *
 * Deno's `backup()` of `node:sqlite` copies the whole file in one call, which blocks the event loop: for seconds, on a
 * memory card. Another connection cannot read a locked file. So this relies on how a WAL works: without checkpoints the
 * file does not change, and the log only grows. First the file is copied, then the log as it is then, which SQLite
 * moves into the copy. If the log grows beyond a limit, the backup fails.
 */
import { dirname, resolve } from "node:path";
import { LocalError } from "../../protocol/errors.ts";
import { sqlite } from "../../transport/sqlite.ts";
import {
  CHECKED_BYTES,
  CHECKPOINT_PAGES,
  explain,
  isInUse,
  type OpenDatabase,
  run,
} from "./database.ts";
import { type Mark, MARK_BACKUP } from "./mark.ts";
import { APPLICATION_ID } from "./schema.ts";

/** Bytes that are read in one call: this blocks the event loop for some ms on a memory card. */
const PIECE = 256 * 1024;

/** Most bytes of the log until the file is copied. */
const MOST_LOG = 128 * 1024 * 1024;

export class Backup {
  #file: OpenDatabase;
  #mark: Mark;
  #date: () => number;
  #mostLog: number;
  #isOver = false;
  #underWay: Promise<void> | undefined;

  /** @param mostLog Tests pass a smaller limit. */
  constructor(file: OpenDatabase, mark: Mark, date: () => number, mostLog = MOST_LOG) {
    this.#file = file;
    this.#mark = mark;
    this.#date = date;
    this.#mostLog = mostLog;
  }

  /** The backup under way, if any. Never rejects. */
  get underWay(): Promise<void> | undefined {
    return this.#underWay;
  }

  /**
   * Makes a backup. An earlier one at this path stays until this one is complete.
   *
   * @throws {LocalError} BAD_ARGUMENT: the path cannot be used; BACKUP_FAILED
   */
  async to(path: string): Promise<void> {
    if (this.#underWay) throw failure(path, "another backup is being made");
    const target = resolve(path);
    checkTarget(path, target, this.#file);
    const made = this.#make(path, target);
    this.#underWay = made.catch(() => {}).finally(() => this.#underWay = undefined);
    try {
      await made;
    } catch (error) {
      throw error instanceof LocalError ? error : failure(path, explain(error), error);
    }
  }

  async #make(path: string, target: string): Promise<void> {
    const part = `${target}.${crypto.randomUUID().slice(0, 8)}.part`;
    try {
      await this.#copy(part, (why) => failure(path, why));
      complete(part, this.#date());
      Deno.renameSync(part, target);
      syncFolder(dirname(target));
    } catch (error) {
      for (const end of ["", "-wal", "-journal"]) tryRemove(part + end);
      throw error;
    }
  }

  async #copy(part: string, fails: (why: string) => LocalError): Promise<void> {
    const { db, path } = this.#file;
    const log = `${path}-wal`;
    const check = () => {
      if (this.#isOver) throw fails("the store was closed");
      if (Deno.statSync(log).size <= this.#mostLog) return;
      throw fails(`more than ${this.#mostLog} bytes were written meanwhile: try again later`);
    };
    run(db, "PRAGMA wal_autocheckpoint = 0");
    try {
      this.#restartLog();
      await copyBytes(this.#file.reader(), part, Infinity, check);
      using reader = await Deno.open(log); // SQLite has no lock on this file
      await copyBytes(reader, `${part}-wal`, Deno.statSync(log).size, check);
    } finally {
      if (!this.#isOver) run(db, `PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    }
  }

  /** Moves the log into the file; then the log starts again, and only grows. */
  #restartLog(): void {
    const { busy, log, checkpointed } = run(this.#file.db, "PRAGMA wal_checkpoint(RESTART)");
    if (busy !== 0 || log !== checkpointed) throw new Error("SQLite does not empty its log");
    this.#mark.write(1);
  }

  /** The store is about to be closed. */
  stop(): void {
    this.#isOver = true;
  }
}

/** Refuses to replace a file that is not a backup. */
function checkTarget(path: string, target: string, { path: own }: OpenDatabase): void {
  const refuse = (why: string) => {
    throw new LocalError(
      "BAD_ARGUMENT",
      `no backup can be made as ${JSON.stringify(path)}: it ${why}`,
    );
  };
  let info;
  try {
    info = Deno.statSync(target);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw failure(path, explain(error), error);
  }
  if (info.isDirectory) refuse("is a directory: add the name of a file to it");
  if (!info.isFile) refuse("is not a regular file");
  const real = Deno.realPathSync(target);
  if (real === own) refuse("is the store itself");
  // Opening a file that this process has locked would unlock it.
  if (isInUse(real)) refuse("is a store in use");
  if (info.size > 0 && !isBackup(real)) refuse("exists and is not a backup of a store");
}

/** A server's store is in WAL mode, according to its header; a backup is not. */
function isBackup(path: string): boolean {
  const header = new Uint8Array(100);
  using file = Deno.openSync(path);
  file.readSync(header);
  return new DataView(header.buffer).getUint32(68) === APPLICATION_ID && header[18] === 1;
}

/** Copies this many bytes of a file into one that only its owner may access. */
async function copyBytes(
  from: Deno.FsFile,
  path: string,
  most: number,
  check: () => void,
): Promise<void> {
  using to = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  const piece = new Uint8Array(PIECE);
  from.seekSync(0, Deno.SeekMode.Start);
  for (let left = most; left > 0;) {
    check();
    // Not `read`: that uses another handle and closes it, which would drop SQLite's locks.
    const read = from.readSync(piece.subarray(0, Math.min(left, PIECE)));
    if (read === null) break;
    left -= read;
    for (let at = 0; at < read;) at += await to.write(piece.subarray(at, read));
  }
  await to.sync(); // here, because SQLite's own sync would block the event loop
}

/** Merges a copy and its log into one file, and marks it as a backup. */
function complete(path: string, date: number): void {
  const { DatabaseSync } = sqlite(`the backup ${JSON.stringify(path)}`);
  const db = new DatabaseSync(path);
  try {
    db.prepare(MARK_BACKUP).run(Math.round(date));
    if (run(db, "PRAGMA journal_mode = DELETE").journal_mode !== "delete") {
      throw new Error("SQLite does not give up its log");
    }
    if (Deno.statSync(path).size > CHECKED_BYTES) return;
    const { quick_check: found } = run(db, "PRAGMA quick_check(1)");
    if (found !== "ok") throw new Error(`the copy is damaged, and so is the store: ${found}`);
  } finally {
    db.close();
  }
}

/** Makes the name survive a loss of power. */
function syncFolder(path: string): void {
  if (Deno.build.os === "windows") return; // Windows cannot open folders
  using folder = Deno.openSync(path);
  folder.syncSync();
}

function tryRemove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // it was not created
  }
}

function failure(path: string, why: string, cause?: unknown): LocalError {
  const message = `no backup was made as ${JSON.stringify(path)}: ${why}`;
  return new LocalError("BACKUP_FAILED", message, { cause });
}
