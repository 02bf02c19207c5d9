/** Keeps the application's statements away from the store's own tables, and from the connection's settings. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { LocalError } from "../../protocol/errors.ts";
import type { SqlInput, SqlRow } from "../store.ts";

/** Where a semicolon does not end a statement: strings, quoted names, comments. */
const QUOTED = /'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[^]*?(?:\*\/|$)/g;

/**
 * Whether there are several statements: SQLite would silently ignore all but the first. A trigger's body has several.
 */
function isSeveral(sql: string): boolean {
  if (!sql.includes(";")) return false;
  const bare = sql.replaceAll(QUOTED, " ");
  return /;[\s;]*[^\s;]/.test(bare) && !/^\s*create\s+(temp\s+|temporary\s+)?trigger\b/i.test(bare);
}

/** Renaming to our prefix: the authorizer is not told a table's new name. */
const RENAMES = /^\s*alter\b.*\bholdfast_/is;

/** Statements that may have nothing to do: then SQLite does not call the authorizer. */
const CONDITIONAL = /^\s*(create|drop)\b.*\bif\s+(not\s+)?exists\b/is;

/** Most statements of a kind that are kept prepared. */
const PREPARED = 200;

/** SQLite's codes for an authorizer's actions and answers. */
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

/** Actions of a query. */
const READS: ReadonlySet<number> = new Set([
  Action.READ,
  Action.SELECT,
  Action.FUNCTION,
  Action.RECURSIVE,
]);

/** Actions that only the store may do. */
const RESERVED: ReadonlySet<number> = new Set([
  Action.PRAGMA,
  Action.TRANSACTION,
  Action.ATTACH,
  Action.DETACH,
  Action.SAVEPOINT,
]);

/** A method that Deno's types lack. */
interface Authorizing {
  setAuthorizer(
    authorize: (action: number, name: string | null, detail: string | null) => number,
  ): void;
}

/** What an application may do in one kind of call, and its statements there. */
interface Kind {
  readonly prepared: Map<string, StatementSync>;
  /** In words for people. */
  readonly about: string;
  allows(action: number, name: string | null, detail: string | null): boolean;
}

/** Executes the application's statements, and refuses what only the store may do. */
export class Guard {
  readonly #db: DatabaseSync;
  #current: Kind | undefined; // undefined while the store's own statements run
  #actions = 0;
  #refused = false;

  readonly #change: Kind = {
    prepared: new Map(),
    about: "only change the application's own tables, whose names do not start with holdfast_",
    allows(action, name, detail) {
      if (READS.has(action)) return true;
      return !RESERVED.has(action) && !isOurs(name) && !isOurs(detail);
    },
  };

  readonly #query: Kind = {
    prepared: new Map(),
    about: "only query",
    allows: (action) => READS.has(action),
  };

  /** @param db The store's own statements must be prepared already. */
  constructor(db: DatabaseSync) {
    this.#db = db;
    // Always set, not only while a statement is prepared: SQLite prepares it again when a table has changed, which
    // may have a trigger by then.
    (db as DatabaseSync & Authorizing).setAuthorizer((action, name, detail) => {
      if (!this.#current) return ALLOWED;
      this.#actions++;
      if (this.#current.allows(action, name, detail)) return ALLOWED;
      this.#refused = true;
      return DENIED;
    });
  }

  /** Executes a statement that may change the application's own tables. @throws {LocalError} BAD_ARGUMENT; SQLite's */
  run(sql: string, params: readonly SqlInput[]): void {
    this.#as(this.#change, sql, (statement) => statement.run(...params));
  }

  /** Rows of a query. @throws {LocalError} BAD_ARGUMENT; SQLite's */
  query(sql: string, params: readonly SqlInput[], most: "one" | "all"): SqlRow[] {
    checkOne(sql);
    return this.#as(this.#query, sql, (statement) => {
      if (most === "all") return statement.all(...params);
      const row = statement.get(...params);
      return row ? [row] : [];
    });
  }

  /** Checks a statement for `run`. @throws {LocalError} BAD_ARGUMENT */
  check(sql: string): void {
    if (this.#change.prepared.has(sql)) return;
    checkOne(sql);
    try {
      this.#as(this.#change, sql, () => {});
    } catch (error) {
      if (error instanceof LocalError) throw error;
      // A table that it needs may be created before it runs; if not, it fails then.
    }
  }

  #as<T>(kind: Kind, sql: string, use: (statement: StatementSync) => T): T {
    this.#current = kind;
    this.#refused = false;
    try {
      return use(kind.prepared.get(sql) ?? this.#prepare(kind, sql));
    } catch (cause) {
      if (this.#refused) throw refusal(kind, sql, cause);
      throw cause;
    } finally {
      this.#current = undefined;
    }
  }

  #prepare(kind: Kind, sql: string): StatementSync {
    if (RENAMES.test(sql)) throw refusal(kind, sql);
    this.#actions = 0;
    const statement = this.#db.prepare(sql);
    // VACUUM, or nothing at all.
    if (this.#actions === 0 && !CONDITIONAL.test(sql)) throw refusal(kind, sql);
    const { prepared } = kind;
    if (prepared.size >= PREPARED) prepared.delete(prepared.keys().next().value!);
    prepared.set(sql, statement);
    return statement;
  }
}

function checkOne(sql: string): void {
  if (isSeveral(sql)) throw badArgument("one call takes one statement, not several");
}

function refusal({ about }: Kind, sql: string, cause?: unknown): LocalError {
  return badArgument(`${sql.trim().slice(0, 60)}: here SQL may ${about}`, cause);
}

function isOurs(name: string | null): boolean {
  return /^(sqlite_autoindex_)?holdfast_/i.test(name ?? "");
}

function badArgument(message: string, cause?: unknown): LocalError {
  return new LocalError("BAD_ARGUMENT", message, { cause });
}
