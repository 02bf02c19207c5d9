/** The safe content of the applications' own tables: SQLite in memory, beside the rows of the simulated disk. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { SqlInput, SqlRow } from "../../server/store/store.ts";

export class Tables {
  #db: DatabaseSync | undefined;
  readonly #statements = new Map<string, StatementSync>();

  /** @param functions Functions that its SQL has besides SQLite's. */
  constructor(readonly functions: Readonly<Record<string, () => number>> = {}) {}

  run(sql: string, params: readonly SqlInput[]): void {
    this.#prepare(sql).run(...params);
  }

  query(sql: string, ...params: SqlInput[]): SqlRow[] {
    return this.#prepare(sql).all(...params);
  }

  /** The number of rows that match; 0 if there is no such table. */
  count(table: string, where = ""): number {
    if (!this.#db) return 0;
    return Number(this.query(`SELECT count(*) AS n FROM ${table} ${where}`)[0]!.n);
  }

  /** Whether any table was ever created. */
  get exist(): boolean {
    return this.#db !== undefined && this.query("SELECT 1 FROM sqlite_master").length > 0;
  }

  #prepare(sql: string): StatementSync {
    this.#db ??= this.#open();
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#db.prepare(sql));
    return statement;
  }

  #open(): DatabaseSync {
    const db = new DatabaseSync(":memory:");
    for (const [name, run] of Object.entries(this.functions)) db.function(name, run);
    return db;
  }

  close(): void {
    this.#statements.clear();
    this.#db?.close();
    this.#db = undefined;
  }
}
