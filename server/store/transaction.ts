/** An application's transactions: on its own tables, and with messages to devices. */
import { LocalError } from "../protocol/errors.ts";
import type { Database, SqlInput, SqlRow, Statement, Work } from "./store.ts";

/** Options of a message in a transaction. */
export interface TransactionWriteOptions {
  /** As for `Device.write`. Default true. */
  wait?: boolean;
  /** As for `Device.write`, counted from this call. An expired message is reported by the event "expired". */
  expires?: number;
}

/** Options of `Server.transaction`. */
export interface TransactionOptions {
  /**
   * Any object. Transactions with the same one become safe in the order in which their functions have returned; those
   * with another one need not wait for them, if the store is PostgreSQL. Default: all outside of applications, and all
   * of an application for one device, have the same.
   */
  order?: object;
}

/** Options of a setting. */
export interface SetOptions {
  /** Who sets it, 1 to 64 characters. Default "server". */
  by?: string;
}

/**
 * Everything in it becomes safe in one step, or nothing of it happens. `Device.consume` adds to it the removal of the
 * message that it handed out.
 *
 * An application may have tables of its own; names that begin with `holdfast_` are the store's, and can only be read.
 * Each call takes one statement. Transactions, PRAGMA, ATTACH and VACUUM are reserved for the store.
 */
export interface Transaction {
  /**
   * Adds a statement. It is executed later, and only if the function returns. It should compute from the rows that
   * it finds then (`SET n = n + 1`), not from earlier reads: other transactions may come between.
   *
   * @throws {LocalError} BAD_ARGUMENT: several statements in one, or one that is the store's; the store has no
   * database; the function has returned already
   */
  run(sql: string, ...params: SqlInput[]): void;
  /**
   * The first row of a query on what is committed; undefined if there is none.
   *
   * @throws {LocalError} BAD_ARGUMENT: as for `run`, or the statement is not a query
   * @throws {Error} the database's, for a malformed one
   */
  get(sql: string, ...params: SqlInput[]): Promise<SqlRow | undefined>;
  /** All rows of a query on what is committed. Throws like `get`. */
  all(sql: string, ...params: SqlInput[]): Promise<SqlRow[]>;
  /**
   * A message to a device of this server, accepted if and only if the transaction commits. If there is no room for it
   * by then, the whole transaction is refused with OUTBOX_FULL; the error's `device` names the device. It works with
   * every store.
   *
   * @param text As for `Device.write`.
   * @throws {LocalError} BAD_TEXT; UNKNOWN_DEVICE; BAD_ARGUMENT: the function has returned already, or see `expires`
   */
  write(deviceId: string, text: string, options?: TransactionWriteOptions): void;
  /**
   * Sets a channel of a device of this server, like `Thing.set`.
   *
   * @throws {LocalError} UNKNOWN_DEVICE; BAD_ARGUMENT: as for `Thing.set`, or the function has returned already
   */
  set(deviceId: string, channel: string, value: unknown, options?: SetOptions): void;
  /**
   * Makes the transaction fail with FENCED if another server has the device when it would become safe: if several
   * servers share the store, a server learns only later which devices it has lost. For an application's own tables with
   * facts about the device. A transaction that writes to it, sets a channel of it or processes a message of it fails
   * anyway.
   *
   * @throws {LocalError} FENCED: another server already has it, or none does; UNKNOWN_DEVICE; BAD_ARGUMENT: the
   * function has returned already
   */
  fence(deviceId: string): void;
  /**
   * Calls `run` when the transaction is safe, and never if it fails. For state that is only in
   * memory.
   *
   * @throws {LocalError} BAD_ARGUMENT: the function has returned already
   */
  afterCommit(run: () => void): void;
}

/** A change of one device's record that becomes safe with its transaction, or is undone. */
export interface Operation {
  /** The device of the record. */
  readonly device: {
    readonly id: string;
    readonly isForgotten: boolean;
    readonly closed: LocalError | undefined;
  };
  /** Changes the record. May be called again after `undo`. @throws {LocalError} and nothing has changed */
  apply(): void;
  /** Undoes what `apply` did. Everything done since must have been undone before. */
  undo(): void;
  /** It is safe. */
  done(): void;
}

/** Turns a transaction's calls about devices into operations. */
export interface OperationMaker {
  /** @throws {LocalError} BAD_TEXT; UNKNOWN_DEVICE; BAD_ARGUMENT */
  write(deviceId: string, text: string, options: TransactionWriteOptions): Operation;
  /** @throws {LocalError} UNKNOWN_DEVICE; BAD_ARGUMENT */
  set(deviceId: string, channel: string, value: unknown, options: SetOptions): Operation;
  /** @throws {LocalError} FENCED; UNKNOWN_DEVICE */
  fence(deviceId: string): Operation;
}

/** Returns the n-th message behind the one that a transaction processes, if there is one. */
export type Further = (n: number) => string | undefined;

/** Collects what a function adds to its transaction. */
export class Collector implements Transaction {
  #statements: Statement[] = [];
  #operations: Operation[] = [];
  #afterwards: (() => void)[] = [];
  #over = false;
  #database: Database | undefined;
  #maker: OperationMaker;
  #further: Further;
  /** How many further messages it processes. */
  taken = 0;

  /** @param database undefined if the store has none. */
  constructor(
    database: Database | undefined,
    maker: OperationMaker,
    further: Further = () => undefined,
  ) {
    this.#database = database;
    this.#maker = maker;
    this.#further = further;
  }

  run(sql: string, ...params: SqlInput[]): void {
    this.#open().check(sql);
    this.#statements.push({ sql, params });
  }

  async get(sql: string, ...params: SqlInput[]): Promise<SqlRow | undefined> {
    const [row] = await this.#open().query(sql, params, "one");
    return row;
  }

  // Async, so that an error rejects the promise.
  async all(sql: string, ...params: SqlInput[]): Promise<SqlRow[]> {
    return await this.#open().query(sql, params, "all");
  }

  write(deviceId: string, text: string, options: TransactionWriteOptions = {}): void {
    this.#checkOpen();
    this.#operations.push(this.#maker.write(deviceId, text, options));
  }

  set(deviceId: string, channel: string, value: unknown, options: SetOptions = {}): void {
    this.#checkOpen();
    this.#operations.push(this.#maker.set(deviceId, channel, value, options));
  }

  fence(deviceId: string): void {
    this.#checkOpen();
    this.#operations.push(this.#maker.fence(deviceId));
  }

  afterCommit(run: () => void): void {
    this.#checkOpen();
    this.#afterwards.push(run);
  }

  /** Adds an operation of the layers above the link. @throws {LocalError} BAD_ARGUMENT: see `Transaction` */
  add(operation: Operation): void {
    this.#checkOpen();
    this.#operations.push(operation);
  }

  /** The message after those that it processes, if there is one. */
  get next(): string | undefined {
    return this.#further(this.taken);
  }

  /** Also processes the next message. @throws {LocalError} BAD_ARGUMENT: see `Transaction` */
  take(): void {
    this.#checkOpen();
    this.taken++;
  }

  /** Marks what was collected so far. @returns a function that drops what was added since, further messages included */
  mark(): () => void {
    const [statements, operations] = [this.#statements.length, this.#operations.length];
    const afterwards = this.#afterwards.length;
    const { taken } = this;
    return () => {
      this.taken = taken;
      this.#statements.length = statements;
      this.#operations.length = operations;
      this.#afterwards.length = afterwards;
    };
  }

  /** The operations that were added, in this order. */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** The transaction is safe: calls the callbacks. An error in one affects only that. */
  committed(): void {
    for (const run of this.#afterwards) queueMicrotask(run);
  }

  #checkOpen(): void {
    if (!this.#over) return;
    throw badArgument(
      "the function that was given this transaction has ended: await what it does",
    );
  }

  #open(): Database {
    this.#checkOpen();
    if (this.#database) return this.#database;
    throw badArgument(
      "this store has no database: give Server.listen a file or a PostgreSQL URL as store",
    );
  }

  /** Returns what was collected; nothing can be added any more. */
  end(): Work {
    this.#over = true;
    return { statements: this.#statements };
  }
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
