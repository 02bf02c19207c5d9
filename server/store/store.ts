/**
 * The durable state of a server, and the interface of its store.
 *
 * The server keeps every device's state in memory. At the end of a turn it gives the difference to a store, as a
 * `Batch`, and lets nothing out before that is safe. While a commit is under way nothing changes: memory is
 * always what is safe, or what is being made safe.
 */
import type { Noted } from "../link/duplicates.ts";
import type { DeadLetter, DeviceState, Outgoing, Positions } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Acquired, Fleet, MailChange, Post } from "./fleet.ts";

export type { Acquired, DeadLetter, DeviceState, Noted, Outgoing, Positions };

/** Another server has taken charge of a device. */
export class FencedError extends LocalError {
  /** Creates the error. @param device Id of the device. */
  constructor(override readonly device: string) {
    super("FENCED", `another server has taken device ${JSON.stringify(device)}`);
  }
}

/** Writes the rows that differ, with one call each. Numbers count a device's messages from its first. */
export interface RowWriter {
  /** Comes before all others, and always if the store does not know the device. */
  positions(positions: Positions, sent: number): void;
  /** A message from the device, at the end of its inbox. */
  received(number: number, text: string): void;
  /** Messages from the device before this number are done. */
  processed(before: number): void;
  /** A message to the device; replaces a row with the same number. */
  written(number: number, message: Outgoing): void;
  /** Messages to the device before this number are done. */
  settled(before: number): void;
  /** Everything about dialect 1's ids is forgotten. Comes before `heard`. */
  forgotten(): void;
  /** The record of an id of dialect 1; replaces a row with the same id. */
  heard(id: number, noted: Noted): void;
  /** A message from the device has become a dead letter. */
  deadLetterAdded(letter: DeadLetter): void;
  /** The dead letter with this number was removed. */
  deadLetterRemoved(number: number): void;
  /** A small value that is kept for the device; replaces a row with the same key. undefined: removes it. */
  memo(key: string, text: string | undefined): void;
}

/** The changes of one device. */
export interface Change {
  /** Id of the device. */
  readonly id: string;
  /** The token with which it was acquired. */
  readonly token: number;
  /** Whether the device must be forgotten: then the store no longer knows it, and `write` writes nothing. */
  readonly removed: boolean;
  /** The device's whole state with this change. It is a live object: copy what must outlive the commit. */
  readonly state: DeviceState;
  /** Changes of the device's mail; only for a store with a fleet. */
  readonly mail?: MailChange | undefined;
  /** Writes the difference to what the store was last given. */
  write(rows: RowWriter): void;
}

/** A parameter of a statement. Whole numbers beyond 2^53 must be bigints. */
export type SqlInput = null | number | bigint | string | Uint8Array;

/** A row of a result, by column name. */
export type SqlRow = Record<string, null | number | bigint | string | Uint8Array>;

/** A statement that waits for its transaction. */
export interface Statement {
  /** One statement, with `?` for each parameter. */
  readonly sql: string;
  /** The values of the parameters, in this order. */
  readonly params: readonly SqlInput[];
}

/** An application's part of a commit: all of its statements are executed, or none. */
export interface Work {
  /** To be executed in this order. */
  readonly statements: readonly Statement[];
  /**
   * To be posted after them; only for a store with a fleet. The work is refused with OUTBOX_FULL if `MOST_MAIL` wait
   * for a device, and with UNKNOWN_DEVICE if the store does not know it: the error's `device` says which.
   */
  readonly posts?: readonly Post[];
}

/** Most executions of a store at a time. */
export const MOST_EXECUTIONS = 4;

/** Works that were executed in a transaction that is still open. It ends with the commit that it is passed to. */
export interface Execution {
  /** Works of which all statements are executed, in this order. */
  readonly works: readonly Work[];
  /** Works of which a statement has failed, with its error: they were rolled back. All others can be passed again. */
  readonly refused: ReadonlyMap<Work, unknown>;
  /** Rolls the transaction back. */
  giveUp(): void;
}

/** Changes that become safe with one commit, all or nothing. */
export interface Batch {
  /**
   * The batch is committed in its transaction. When the commit has settled it has ended: after a failure it was
   * rolled back.
   */
  readonly execution?: Execution;
  /**
   * To be executed in this order, each in its own savepoint. If the store has `executeAhead`, they have no
   * statements, only posts.
   */
  readonly works: readonly Work[];
  /**
   * To be called after the works: the devices that differ if the refused works are left out. May be called again
   * if the transaction has to start again.
   */
  changes(refused: ReadonlyMap<Work, unknown>): Iterable<Change>;
}

/** A device that the store knows. */
export interface KnownDevice {
  /** The id with which it greets. */
  id: string;
  /** Messages from it that are not processed. */
  inbox: number;
  /** Messages to it that are not acknowledged. */
  outbox: number;
}

/** The database with applications' own tables; not every store has one. */
export interface Database {
  /** Its SQL dialect. Default: SQLite's. */
  readonly dialect?: "sqlite" | "postgresql";
  /**
   * The rows of a query on what is committed.
   *
   * @throws {LocalError} BAD_ARGUMENT: it is not a query, or several statements
   * @throws {Error} the database's, for a malformed one
   */
  query(sql: string, params: readonly SqlInput[], most: "one" | "all"): Promise<SqlRow[]>;
  /**
   * Checks a statement before it waits for its transaction. It may still fail there: a table may be created by an
   * earlier statement.
   *
   * @throws {LocalError} BAD_ARGUMENT: it is several statements, or does what only the store may do
   */
  check(sql: string): void;
}

/** Keeps devices. A server that restarts on the same store continues where it stopped. */
export interface Store {
  /** Whether commits are expensive enough to batch: the server then gathers what a turn of the event loop brings. */
  readonly gathers: boolean;
  /** The applications' database, if there is one. */
  readonly database?: Database;
  /** For several processes on this store, if it supports that. */
  readonly fleet?: Fleet;
  /** For people: evidence, found when it was opened, that it was set back. */
  readonly older?: string | undefined;
  /** All devices that it knows. */
  list(): Promise<KnownDevice[]>;
  /**
   * Takes charge of a device. A new device is not known before a change of it was committed.
   *
   * @throws {LocalError} STORE_FAILED; STORE_UNUSABLE: what it has of the device is damaged
   */
  acquire(id: string): Promise<Acquired>;
  /**
   * Executes works ahead of their commit, in a transaction that stays open: other commits continue meanwhile, however
   * long a statement takes. A store with this method gets no statements in `commit`, and refuses them. At most
   * `MOST_EXECUTIONS` exist at a time.
   *
   * @throws {LocalError} STORE_FAILED: nothing has happened
   */
  executeAhead?(works: readonly Work[]): Promise<Execution>;
  /**
   * Makes a batch safe. Called again only when the previous call has settled.
   *
   * @returns the works of which a statement has failed, with its error: they were rolled back
   * @throws {LocalError} STORE_FAILED: nothing of the batch is in the store, and the next batch has all of it
   * again
   * @throws {FencedError} another process has acquired this device since; nothing of the batch is in the
   * store
   */
  commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>>;
  /**
   * Sets whom to call, during a commit, when it may take long: then writers are refused until it has ended. For a store
   * that may be unreachable, and must not report a commit as failed before it knows.
   */
  watchStalls?(stalled: (error: LocalError) => void): void;
  /**
   * Copies everything committed into another file, while commits continue; not every store can.
   *
   * @throws {LocalError} BAD_ARGUMENT: the path cannot be used; BACKUP_FAILED
   */
  backup?(path: string): Promise<void>;
  /** Frees its resources. It commits nothing. */
  close(): Promise<void>;
}
