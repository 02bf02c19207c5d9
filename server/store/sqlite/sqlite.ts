import type { DatabaseSync, StatementSync } from "node:sqlite";
import { LocalError } from "../../protocol/errors.ts";
import {
  type Durability,
  explain,
  isDisk,
  isSqlite,
  type OpenDatabase,
  openDatabase,
  unusable,
} from "./database.ts";
import { Backup } from "./backup.ts";
import { Guard } from "./guard.ts";
import { list, load } from "./loading.ts";
import { Mark, type StoreClock } from "./mark.ts";
import { FencedError } from "../store.ts";
import type {
  Acquired,
  Batch,
  Change,
  Database,
  DeviceState,
  KnownDevice,
  SqlInput,
  SqlRow,
  Store,
  Work,
} from "../store.ts";
import { Tables } from "./tables.ts";
import { boot } from "../../transport/boot.ts";

/** Options of `SqliteStore`. */
export interface SqliteStoreOptions {
  /**
   * What a commit survives. "full", the default: a crash and a loss of power, at the cost of one
   * fsync in each turn of the event loop. "normal": only a crash of the server; a loss of power may
   * undo the last commits, each as a whole, with messages that were acknowledged.
   */
  durability?: Durability;
  /** `now` is the clock of messages' times. Default: the process's. */
  clock?: StoreClock;
}

const processClock: StoreClock = { now: () => performance.now(), date: () => Date.now(), boot };

/** A device in the file. */
interface Known {
  readonly device: number;
  token: number;
  /** As it was read at the start, until it is acquired. */
  state: DeviceState | undefined;
}

/**
 * Keeps devices in an SQLite file (WAL), so that they outlive the process. A commit is one transaction. Its cost is
 * mainly the fsync, so it pays to commit many changes together.
 *
 * The file is locked: while the store is open, no other process can open it. The `-wal` file beside it is a part of
 * it: always copy both. It holds what is under way, not a history: the room of finished messages is reused.
 *
 * ```ts
 * import { Server, SqliteStore } from "@holdfast/holdfast";
 * const store = new SqliteStore(`${Deno.makeTempDirSync()}/holdfast.db`, { durability: "normal" });
 * const server = await Server.listen({ store, port: 0, open: true });
 * await server.close();
 * console.log(await store.list()); // []: no device was here
 * await store.close();
 * ```
 */
export class SqliteStore implements Store, Database {
  readonly gathers = true;
  /** The store itself. */
  readonly database: Database = this;
  #db: DatabaseSync;
  #clock: StoreClock;
  #file: OpenDatabase;
  #mark: Mark;
  #backup: Backup;
  #closed = false;
  #known = new Map<string, Known>();
  #added = new Map<string, Known>(); // added by the transaction under way
  #removed = new Set<string>(); // removed by it
  #lastDevice = 0;
  #tokens = 0;
  #tables: Tables;
  #guard: Guard;
  #begin: StatementSync;
  #commit: StatementSync;
  #rollback: StatementSync;
  #savepoint: StatementSync;
  #release: StatementSync;
  #undo: StatementSync;

  /**
   * Opens a store, or creates a new one.
   *
   * @param path Path of a file, or of a new one in an existing folder.
   * @throws {LocalError} STORE_UNUSABLE: not a store, damaged, in use, or not permitted. The file is
   * unchanged then.
   */
  constructor(
    readonly path: string,
    { durability = "full", clock = processClock }: SqliteStoreOptions = {},
  ) {
    const file = this.#file = openDatabase(path, durability);
    const { db } = file;
    this.#db = db;
    this.#clock = clock;
    try {
      this.#mark = new Mark(path, db, clock, file.hadLog);
      this.#backup = new Backup(file, this.#mark, () => clock.date());
      // All at once, which takes a tenth of the time of one by one.
      for (const { id, device, state } of load(path, db, this.#time)) {
        this.#known.set(id, { device, token: 0, state });
        this.#lastDevice = device;
      }
      this.#tables = new Tables(db);
    } catch (error) {
      file.close();
      throw unusable(path, error);
    }
    this.#begin = db.prepare("BEGIN IMMEDIATE");
    this.#commit = db.prepare("COMMIT");
    this.#rollback = db.prepare("ROLLBACK");
    this.#savepoint = db.prepare("SAVEPOINT holdfast_work");
    this.#release = db.prepare("RELEASE holdfast_work");
    this.#undo = db.prepare("ROLLBACK TO holdfast_work");
    this.#guard = new Guard(db);
  }

  /** Evidence that the store was set back, in words; undefined: none. */
  get older(): string | undefined {
    return this.#mark.older;
  }

  get #time(): { now: number; offset: number } {
    return { now: this.#clock.now(), offset: this.#mark.offset };
  }

  list(): Promise<KnownDevice[]> {
    return this.#promise(() => list(this.#db));
  }

  acquire(id: string): Promise<Acquired> {
    return this.#promise(() => {
      const token = ++this.#tokens;
      const known = this.#known.get(id);
      if (!known) return { state: undefined, token };
      const state = known.state ?? load(this.path, this.#db, this.#time, known.device)[0]!.state;
      known.state = undefined;
      known.token = token;
      return { state, token };
    });
  }

  commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>> {
    return this.#promise(() => {
      const refused = new Map<Work, unknown>();
      try {
        while (!this.#transact(batch, refused));
      } catch (error) {
        this.#tryRollback();
        throw error;
      }
      for (const [id, known] of this.#added) this.#known.set(id, known);
      for (const id of this.#removed) this.#known.delete(id);
      return refused;
    });
  }

  /**
   * Writes a batch in one transaction.
   *
   * @param refused Works of which a statement has failed, with its error; they are left out.
   * @returns false if one of them has also ended the transaction: it has to be repeated
   */
  #transact(batch: Batch, refused: Map<Work, unknown>): boolean {
    this.#begin.run();
    for (const work of batch.works) {
      if (work.statements.length === 0 || refused.has(work)) continue;
      this.#savepoint.run();
      try {
        for (const { sql, params } of work.statements) this.#guard.run(sql, params);
      } catch (error) {
        if (isDisk(error)) throw error; // another attempt may succeed
        refused.set(work, error);
        if (!this.#db.isTransaction) return false; // ON CONFLICT ROLLBACK, for example
        this.#undo.run();
      }
      this.#release.run();
    }
    this.#added.clear();
    this.#removed.clear();
    this.#mark.renew();
    this.#tables.begin(this.#mark.offset);
    for (const change of batch.changes(refused)) this.#write(change);
    this.#tables.flush();
    this.#commit.run();
    return true;
  }

  #write(change: Change): void {
    const { id, token, removed } = change;
    const known = this.#known.get(id);
    if (known) {
      if (known.token !== token) throw new FencedError(id);
      this.#tables.of(known.device, id);
      if (removed) this.#tables.remove();
      else change.write(this.#tables);
      if (removed) this.#removed.add(id);
      return;
    }
    if (removed) return;
    const device = this.#lastDevice + 1;
    this.#tables.of(device, id);
    change.write(this.#tables);
    if (!this.#tables.wrote) return; // everything was undone
    // If the transaction fails, this number is not used.
    this.#lastDevice = device;
    this.#added.set(id, { device, token, state: undefined });
  }

  #tryRollback(): void {
    try {
      if (this.#db.isTransaction) this.#rollback.run();
    } catch {
      // the error that led here matters; if this one persists, BEGIN will fail with it
    }
  }

  query(sql: string, params: readonly SqlInput[], most: "one" | "all"): Promise<SqlRow[]> {
    return this.#promise(() => this.#guard.query(sql, params, most), false);
  }

  check(sql: string): void {
    this.#checkOpen();
    this.#guard.check(sql);
  }

  /**
   * Copies everything committed into another file, while commits continue. The copy is a complete store that reports,
   * when it is opened, that it is a backup. An earlier backup is replaced when this one is complete.
   *
   * @throws {LocalError} BAD_ARGUMENT: the path cannot be used; BACKUP_FAILED; STORE_FAILED: it was closed
   */
  async backup(path: string): Promise<void> {
    this.#checkOpen();
    await this.#backup.to(path);
  }

  /** Executes a statement of any kind, for tests. Returns its rows. */
  protected execute(sql: string): SqlRow[] {
    return this.#db.prepare(sql).all();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#backup.stop();
    if (this.#backup.underWay) await this.#backup.underWay;
    if (this.#closed) return; // by another caller that has waited
    await this.#promise(() => {
      this.#closed = true;
      if (!this.#file.isMoved()) this.#mark.close();
      this.#file.close();
    });
  }

  /** Runs a function at once, and turns errors of the file into STORE_FAILED. */
  #promise<T>(fn: () => T, wraps = true): Promise<T> {
    try {
      this.#checkOpen();
      return Promise.resolve(fn());
    } catch (error) {
      const failed = wraps && isSqlite(error);
      return Promise.reject(failed ? this.#failure(explain(error), error) : error);
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#failure("it was closed; close its server first");
  }

  #failure(why: string, cause?: unknown): LocalError {
    const message = `nothing can be written to the store ${JSON.stringify(this.path)}: ${why}`;
    return new LocalError("STORE_FAILED", message, { cause });
  }
}
