import type { DatabaseSync, StatementSync } from "node:sqlite";
import { LocalError } from "../../protocol/errors.ts";
import { type Durability, explain, openDatabase, unusable } from "./database.ts";
import { type Database, Guard, type SqlInput, type SqlRow, type Statement } from "../effects.ts";
import { Ledger, Tables } from "../ledger.ts";
import { load } from "./loading.ts";
import type { Store } from "../store.ts";
import type { DeviceRecord } from "../../link/record.ts";

/** What `SqliteStore` can be told. */
export interface SqliteStoreOptions {
  /**
   * What a commit survives. "full", the default: a crash and the loss of power, for one fsync in each
   * turn of the event loop. "normal": a crash of the server; with the power the last commits may be
   * lost, all of them whole: what was acknowledged in them is gone.
   */
  durability?: Durability;
}

/** A message that is done, and what goes with it. */
interface Consumption {
  ledger: Ledger;
  statements: readonly Statement[];
  done: PromiseWithResolvers<void>;
}

/**
 * Keeps records in an SQLite file (WAL), so that they outlive the process. They are all in memory as
 * well, and are changed there; `commit` writes what has changed since the last one, in one transaction.
 * What it costs is mainly the fsync, so many changes should share one.
 *
 * The file is locked: as long as the store is open, no other process can open it. Its `-wal` beside it is
 * a part of it: what copies one must copy both. It holds what is on its way, not what once was: room of
 * messages that are done is used again.
 *
 * ```ts
 * import { SqliteStore } from "./sqlite.ts";
 * const path = `${Deno.makeTempDirSync()}/holdfast.db`;
 * const store = new SqliteStore(path);
 * store.create("1").receive("21.5");
 * store.commit();
 * store.close();
 *
 * const again = new SqliteStore(path);
 * console.log(again.get("1")!.inbox); // [ "21.5" ]
 * again.close();
 * ```
 */
export class SqliteStore implements Store, Database {
  readonly gathers = true;
  readonly database: Database = this;
  /** The file, for tests. */
  protected readonly db: DatabaseSync;
  #closeFile: () => void;
  #closed = false;
  #ledgers = new Map<string, Ledger>();
  #changed = new Set<Ledger>();
  #consumptions: Consumption[] = [];
  #lastDevice = 0;
  #tables: Tables;
  #guard: Guard;
  #begin: StatementSync;
  #commit: StatementSync;
  #rollback: StatementSync;
  #savepoint: StatementSync;
  #release: StatementSync;
  #undo: StatementSync;

  /**
   * Opens a store, or makes a new one.
   *
   * @param path Of a file, or of none yet in a folder that exists.
   * @throws {LocalError} STORE_UNUSABLE: no store, damaged, in use, or not permitted. It was left as it is.
   */
  constructor(readonly path: string, { durability = "full" }: SqliteStoreOptions = {}) {
    const { db, close } = openDatabase(path, durability);
    this.db = db;
    this.#closeFile = close;
    try {
      for (const loaded of load(path, db)) {
        this.#ledgers.set(loaded.id, new Ledger(loaded.id, loaded.device, this.#changed, loaded));
        this.#lastDevice = loaded.device;
      }
      this.#tables = new Tables(db);
    } catch (error) {
      close();
      throw unusable(path, error);
    }
    this.#guard = new Guard(db);
    this.#begin = db.prepare("BEGIN IMMEDIATE");
    this.#commit = db.prepare("COMMIT");
    this.#rollback = db.prepare("ROLLBACK");
    this.#savepoint = db.prepare("SAVEPOINT holdfast_consumption");
    this.#release = db.prepare("RELEASE holdfast_consumption");
    this.#undo = db.prepare("ROLLBACK TO holdfast_consumption");
  }

  get ids(): Iterable<string> {
    return this.#ledgers.keys();
  }

  get size(): number {
    return this.#ledgers.size;
  }

  get(id: string): DeviceRecord | undefined {
    return this.#ledgers.get(id)?.record;
  }

  create(id: string): DeviceRecord {
    const ledger = new Ledger(id, ++this.#lastDevice, this.#changed);
    this.#ledgers.set(id, ledger);
    return ledger.record;
  }

  commit(): void {
    if (this.#changed.size === 0 && this.#consumptions.length === 0) return;
    if (this.#closed) throw this.#failure(CLOSED);
    const refused = new Map<Consumption, unknown>();
    try {
      while (!this.#transact(refused));
    } catch (error) {
      this.#tables.clear();
      this.#tryRollback();
      throw this.#failure(explain(error), error);
    }
    for (const ledger of this.#changed) ledger.committed();
    this.#changed.clear();
    for (const consumption of this.#consumptions.splice(0)) {
      if (refused.has(consumption)) consumption.done.reject(refused.get(consumption));
      else consumption.done.resolve();
    }
  }

  /**
   * Writes all changes in one transaction.
   *
   * @param refused Consumptions of which a statement has failed, and its error; they are left out.
   * @returns false if one of them has ended the transaction as well: it has to be done again
   */
  #transact(refused: Map<Consumption, unknown>): boolean {
    this.#begin.run();
    const consumed = new Set<Ledger>();
    for (const consumption of this.#consumptions) {
      if (refused.has(consumption)) continue;
      this.#savepoint.run();
      try {
        for (const { sql, params } of consumption.statements) {
          this.#guard.forChange(sql).run(...params);
        }
      } catch (error) {
        refused.set(consumption, error);
        if (!this.db.isTransaction) return false; // ON CONFLICT ROLLBACK, and the like
        this.#undo.run();
        this.#release.run();
        continue;
      }
      this.#release.run();
      consumed.add(consumption.ledger);
      this.#changed.add(consumption.ledger);
    }
    for (const ledger of this.#changed) ledger.write(this.#tables, consumed.has(ledger));
    this.#tables.flush();
    this.#commit.run();
    return true;
  }

  #tryRollback(): void {
    try {
      if (this.db.isTransaction) this.#rollback.run();
    } catch {
      // what matters is the error that led here; BEGIN will say so if it lasts
    }
  }

  query(sql: string, params: readonly SqlInput[], most: "one" | "all"): SqlRow[] {
    if (this.#closed) throw this.#failure(CLOSED);
    const statement = this.#guard.forQuery(sql);
    if (most === "all") return statement.all(...params);
    const row = statement.get(...params);
    return row ? [row] : [];
  }

  consume(record: DeviceRecord, statements: readonly Statement[]): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#consumptions.push({ ledger: this.#ledgers.get(record.id)!, statements, done });
    return done.promise;
  }

  /** Commits what is left, and unlocks the file. @throws {LocalError} STORE_FAILED; closed nevertheless */
  close(): void {
    if (this.#closed) return;
    try {
      this.commit();
    } finally {
      this.#closed = true;
      for (const { done } of this.#consumptions.splice(0)) done.reject(this.#failure(CLOSED));
      this.#closeFile();
    }
  }

  #failure(why: string, cause?: unknown): LocalError {
    const message = `nothing can be written to the store ${JSON.stringify(this.path)}: ${why}`;
    return new LocalError("STORE_FAILED", message, { cause });
  }
}

const CLOSED = "it was closed; close its server first";
