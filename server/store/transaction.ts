/** What an application does in one transaction: with its own tables, and with messages to devices. */
import { LocalError } from "../protocol/errors.ts";
import type { Database, SqlInput, SqlRow, Statement, Work } from "./store.ts";

/** How a message of a transaction is to be sent. */
export interface TransactionWriteOptions {
  /** As for `Device.write`. Default true. */
  wait?: boolean;
  /** As for `Device.write`: counted from this call. Who is told is `server.events`, with "expired". */
  expires?: number;
}

/**
 * Everything in it becomes safe in one step, or nothing of it happens. `Device.consume` adds that the message which it
 * was given is processed.
 *
 * Tables of its own are the application's affair; names that begin with `holdfast_` are the store's, and can only be
 * read. Each call takes one statement. Transactions, PRAGMA, ATTACH and VACUUM are the store's as well.
 */
export interface Transaction {
  /**
   * Adds a statement. It is executed later, and only if the function returns. It should compute from what it finds
   * then (`SET n = n + 1`), not from what was read before: other transactions may come between.
   *
   * @throws {LocalError} BAD_ARGUMENT: several statements in one, or one that is the store's; the store has no
   * database; the function has returned already
   */
  run(sql: string, ...params: SqlInput[]): void;
  /**
   * The first row that a query finds in what is committed; undefined if there is none.
   *
   * @throws {LocalError} BAD_ARGUMENT: as for `run`, or the statement is no query
   * @throws {Error} the database's, for a malformed one
   */
  get(sql: string, ...params: SqlInput[]): Promise<SqlRow | undefined>;
  /** All rows that a query finds in what is committed. Throws like `get`. */
  all(sql: string, ...params: SqlInput[]): Promise<SqlRow[]>;
  /**
   * A message to a device of this server, accepted if and only if the transaction commits. If there is no room for it
   * by then, the whole transaction is refused with OUTBOX_FULL. It works with every store.
   *
   * @param text As for `Device.write`.
   * @throws {LocalError} BAD_TEXT; UNKNOWN_DEVICE; BAD_ARGUMENT: the function has returned already, or see `expires`
   */
  write(deviceId: string, text: string, options?: TransactionWriteOptions): void;
}

/** Collects what a function adds to its transaction. */
export class Collector implements Transaction {
  #statements: Statement[] = [];
  #over = false;
  #database: Database | undefined;
  #write: (deviceId: string, text: string, options: TransactionWriteOptions) => void;

  /**
   * @param database undefined if the store has none.
   * @param write Takes a message, or throws BAD_TEXT or UNKNOWN_DEVICE.
   */
  constructor(
    database: Database | undefined,
    write: (deviceId: string, text: string, options: TransactionWriteOptions) => void,
  ) {
    this.#database = database;
    this.#write = write;
  }

  run(sql: string, ...params: SqlInput[]): void {
    this.#open().check(sql);
    this.#statements.push({ sql, params });
  }

  async get(sql: string, ...params: SqlInput[]): Promise<SqlRow | undefined> {
    const [row] = await this.#open().query(sql, params, "one");
    return row;
  }

  // Not merely returned, so that an error rejects the promise.
  async all(sql: string, ...params: SqlInput[]): Promise<SqlRow[]> {
    return await this.#open().query(sql, params, "all");
  }

  write(deviceId: string, text: string, options: TransactionWriteOptions = {}): void {
    this.#checkOpen();
    this.#write(deviceId, text, options);
  }

  #checkOpen(): void {
    if (!this.#over) return;
    throw badArgument("the function that was given this transaction has ended: await what it does");
  }

  #open(): Database {
    this.#checkOpen();
    if (this.#database) return this.#database;
    throw badArgument("this store has no database: give Server.listen the path of a file as store");
  }

  /** What was collected; there can be no more. */
  end(): Work {
    this.#over = true;
    return { statements: this.#statements };
  }
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
