/** What an application does in the store's database while it consumes a message. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { LocalError } from "../protocol/errors.ts";
import type { DeviceRecord } from "../link/record.ts";

/** What can be given to a statement. Whole numbers beyond 2^53 must be bigints. */
export type SqlInput = SQLInputValue;

/** A row of a result, by the names of its columns. */
export type SqlRow = Record<string, SQLOutputValue>;

/** A statement that waits for its transaction. */
export interface Statement {
  readonly sql: string;
  readonly params: readonly SqlInput[];
}

/**
 * The application's part of the transaction that removes a message from its inbox; see `Device.consume`.
 *
 * Tables of its own are the application's affair; names that begin with `holdfast_` are the store's, and
 * can be read only. Each call takes one statement. Transactions, PRAGMA, ATTACH and VACUUM are the
 * store's as well.
 */
export interface Transaction {
  /**
   * Adds a statement. It is executed later, and only if the function returns and the message with it is
   * done. It should compute from what it finds then (`SET n = n + 1`), not from what was read before:
   * other devices' messages may come between.
   *
   * @throws {LocalError} BAD_ARGUMENT: several statements in one; the store has no database; the function
   * has returned already
   */
  run(sql: string, ...params: SqlInput[]): void;
  /**
   * The first row that a query finds in what is committed; undefined if there is none.
   *
   * @throws {LocalError} BAD_ARGUMENT: as for `run`, or the statement is no query
   * @throws {Error} SQLite's, for a malformed one
   */
  get(sql: string, ...params: SqlInput[]): SqlRow | undefined;
  /** All rows that a query finds in what is committed. Throws like `get`. */
  all(sql: string, ...params: SqlInput[]): SqlRow[];
}

/** What a store with a database offers to `Device.consume`. */
export interface Database {
  /** Rows found in what is committed. @throws as `Transaction.get` */
  query(sql: string, params: readonly SqlInput[], most: "one" | "all"): SqlRow[];
  /**
   * With the next commit that succeeds, executes the statements and removes the oldest message from the
   * inbox, both or none.
   *
   * @returns when that is safe. Then, and before the next commit, the caller calls `record.process`.
   * Rejects with SQLite's error if a statement has failed: the message has stayed.
   */
  consume(record: DeviceRecord, statements: readonly Statement[]): Promise<void>;
}

/** Collects the statements of one message. */
export class Effects implements Transaction {
  #statements: Statement[] = [];
  #over = false;
  #database: Database | undefined;

  /** @param database undefined if the store has none. */
  constructor(database: Database | undefined) {
    this.#database = database;
  }

  run(sql: string, ...params: SqlInput[]): void {
    this.#check(sql);
    this.#statements.push({ sql, params });
  }

  get(sql: string, ...params: SqlInput[]): SqlRow | undefined {
    return this.#check(sql).query(sql, params, "one")[0];
  }

  all(sql: string, ...params: SqlInput[]): SqlRow[] {
    return this.#check(sql).query(sql, params, "all");
  }

  #check(sql: string): Database {
    if (this.#over) {
      throw badArgument("the function given to consume has ended: await what it does");
    }
    if (!this.#database) {
      throw badArgument(
        "this store has no database: give Server.listen the path of a file as store",
      );
    }
    if (isSeveral(sql)) throw badArgument("one call takes one statement, not several");
    return this.#database;
  }

  /** The statements; there can be no more. */
  end(): readonly Statement[] {
    this.#over = true;
    return this.#statements;
  }
}

/** What may hide a semicolon: strings, names in quotes, comments. */
const QUOTED = /'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[^]*?(?:\*\/|$)/g;

/** SQLite would silently ignore all but the first statement. A trigger's body has several. */
function isSeveral(sql: string): boolean {
  if (!sql.includes(";")) return false;
  const bare = sql.replaceAll(QUOTED, " ");
  return /;[\s;]*[^\s;]/.test(bare) && !/^\s*create\s+(temp\s+|temporary\s+)?trigger\b/i.test(bare);
}

/** How many of the application's statements are kept prepared. */
const PREPARED = 200;

/** What an authorizer is asked about, and its answers: codes of SQLite. */
const Action = {
  PRAGMA: 19,
  READ: 20,
  SELECT: 21,
  TRANSACTION: 22,
  ATTACH: 24,
  DETACH: 25,
  FUNCTION: 31,
  SAVEPOINT: 32,
  RECURSIVE: 33,
} as const;
const ALLOWED = 0;
const DENIED = 1;

/** What a query does. */
const READS: ReadonlySet<number> = new Set([
  Action.READ,
  Action.SELECT,
  Action.FUNCTION,
  Action.RECURSIVE,
]);

/** What nobody may do but the store. */
const RESERVED: ReadonlySet<number> = new Set([
  Action.PRAGMA,
  Action.TRANSACTION,
  Action.ATTACH,
  Action.DETACH,
  Action.SAVEPOINT,
]);

/** What Deno's types do not have yet. */
interface Authorizing {
  setAuthorizer(
    authorize: ((action: number, name: string | null, detail: string | null) => number) | null,
  ): void;
}

/** Prepares the application's statements, if they do nothing that is not the application's business. */
export class Guard {
  #db: DatabaseSync & Authorizing;
  #prepared = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db as DatabaseSync & Authorizing;
  }

  /** A statement that may change the application's own tables. @throws {LocalError} BAD_ARGUMENT; SQLite's */
  forChange(sql: string): StatementSync {
    return this.#prepare("change", sql, (action, name, detail) => {
      if (READS.has(action)) return true;
      return !RESERVED.has(action) && !isOurs(name) && !isOurs(detail);
    });
  }

  /** A statement that only reads. @throws {LocalError} BAD_ARGUMENT; SQLite's */
  forQuery(sql: string): StatementSync {
    return this.#prepare("query", sql, (action) => READS.has(action));
  }

  #prepare(
    kind: string,
    sql: string,
    allows: (action: number, name: string | null, detail: string | null) => boolean,
  ): StatementSync {
    const key = `${kind} ${sql}`;
    let statement = this.#prepared.get(key);
    if (statement) return statement;
    let actions = 0;
    let refused = false;
    this.#db.setAuthorizer((action, name, detail) => {
      actions++;
      if (allows(action, name, detail)) return ALLOWED;
      refused = true;
      return DENIED;
    });
    try {
      statement = this.#db.prepare(sql);
    } catch (cause) {
      if (refused) throw this.#refusal(kind, sql, cause);
      throw cause;
    } finally {
      this.#db.setAuthorizer(null);
    }
    if (actions === 0) throw this.#refusal(kind, sql); // VACUUM, or nothing at all
    if (this.#prepared.size >= PREPARED) {
      this.#prepared.delete(this.#prepared.keys().next().value!);
    }
    this.#prepared.set(key, statement);
    return statement;
  }

  #refusal(kind: string, sql: string, cause?: unknown): LocalError {
    const allowed = kind === "query"
      ? "a query only"
      : "what concerns the application's own tables only, whose names do not begin with holdfast_";
    return badArgument(`${sql.trim().slice(0, 60)}: here SQL may do ${allowed}`, cause);
  }
}

function isOurs(name: string | null): boolean {
  return /^(sqlite_autoindex_)?holdfast_/i.test(name ?? "");
}

function badArgument(message: string, cause?: unknown): LocalError {
  return new LocalError("BAD_ARGUMENT", message, { cause });
}
