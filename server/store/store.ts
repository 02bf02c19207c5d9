/**
 * What the server must not forget, and where it is kept.
 *
 * The server keeps every device's state in memory. At the end of a turn it gives a store the difference, as a
 * `Batch`, and lets nothing come out before that is safe. While a commit is under way nothing changes: memory is
 * always what is safe, or what is being made safe.
 */
import type { Noted } from "../link/duplicates.ts";
import type { DeadLetter, DeviceState, Outgoing, Positions } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Acquired, Fleet, MailChange, Post } from "./fleet.ts";

export type { Acquired, DeadLetter, DeviceState, Noted, Outgoing, Positions };

/** Somebody else has taken charge of a device. */
export class FencedError extends LocalError {
  /** Says which device it is. @param device Its id. */
  constructor(override readonly device: string) {
    super("FENCED", `another server has taken device ${JSON.stringify(device)}`);
  }
}

/** Takes the rows that differ, one call each. Numbers count a device's messages from its first on. */
export interface RowWriter {
  /** Comes before all others, and always if the store does not know the device. */
  positions(positions: Positions, sent: number): void;
  /** A message from the device, which goes to the end of its inbox. */
  received(number: number, text: string): void;
  /** Messages from the device before this number are done with. */
  processed(before: number): void;
  /** A message to the device; a row of that number is replaced. */
  written(number: number, message: Outgoing): void;
  /** Messages to the device before this number are done with. */
  settled(before: number): void;
  /** All that was known of dialect 1's ids is forgotten. Comes before `heard`. */
  forgotten(): void;
  /** What is known of an id of dialect 1; a row of that id is replaced. */
  heard(id: number, noted: Noted): void;
  /** A message from the device has become a dead letter. */
  buried(letter: DeadLetter): void;
  /** The dead letter of this number is one no more. */
  exhumed(number: number): void;
  /** A small value that is kept of the device: a row of that key is replaced. undefined: it is kept no more. */
  memo(key: string, text: string | undefined): void;
}

/** What is different in one device. */
export interface Change {
  /** Of the device. */
  readonly id: string;
  /** With which it was acquired. */
  readonly token: number;
  /** Whether the device must be forgotten: then the store does not know it any more, and `write` tells nothing. */
  readonly removed: boolean;
  /** The device's whole state with this change. It is alive: copy what must outlive the commit. */
  readonly state: DeviceState;
  /** What it does with the device's mail; only for a store with a fleet. */
  readonly mail?: MailChange | undefined;
  /** Tells the difference to what the store was given last. */
  write(rows: RowWriter): void;
}

/** What can be given to a statement. Whole numbers beyond 2^53 must be bigints. */
export type SqlInput = null | number | bigint | string | Uint8Array;

/** A row of a result, by the names of its columns. */
export type SqlRow = Record<string, null | number | bigint | string | Uint8Array>;

/** A statement that waits for its transaction. */
export interface Statement {
  /** One statement, with `?` for each parameter. */
  readonly sql: string;
  /** What takes their places, in this order. */
  readonly params: readonly SqlInput[];
}

/** An application's part of a commit: all of its statements are executed, or none. */
export interface Work {
  /** To be executed in this order. */
  readonly statements: readonly Statement[];
  /**
   * To be posted behind them; only given to a store with a fleet. The work is refused with OUTBOX_FULL if `MOST_MAIL`
   * wait for a device, and with UNKNOWN_DEVICE if the store does not know it: the error's `device` says which.
   */
  readonly posts?: readonly Post[];
}

/** Executions of a store that are there at a time, at most. */
export const MOST_EXECUTIONS = 4;

/** Works that were executed in a transaction which is still open. It ends with the commit that it is given to. */
export interface Execution {
  /** Works of which all statements are executed, in this order. */
  readonly works: readonly Work[];
  /** Works of which a statement has failed, with its error: nothing of them has happened. All others can be given again. */
  readonly refused: ReadonlyMap<Work, unknown>;
  /** Ends the transaction: nothing of it has happened. */
  giveUp(): void;
}

/** What becomes safe with one commit, all at once or not at all. */
export interface Batch {
  /**
   * Its transaction is the one that becomes safe, with all else in the batch. When the commit has settled it is over:
   * after a failure nothing of it has happened.
   */
  readonly execution?: Execution;
  /**
   * To be executed in this order, each in a savepoint of its own. Where the store has `executeAhead`, they have no
   * statements, and only post something.
   */
  readonly works: readonly Work[];
  /**
   * To be called after the works: the devices that differ when just those works count. May be called again if the
   * transaction has to start again.
   */
  changes(refused: ReadonlyMap<Work, unknown>): Iterable<Change>;
}

/** A device that the store knows. */
export interface KnownDevice {
  /** By which it greets. */
  id: string;
  /** Messages from it that are not processed. */
  inbox: number;
  /** Messages to it that are not acknowledged. */
  outbox: number;
}

/** Where applications' own tables are; not every store has it. */
export interface Database {
  /** The SQL that it speaks. Default: SQLite's. */
  readonly dialect?: "sqlite" | "postgresql";
  /**
   * Rows that a query finds in what is committed.
   *
   * @throws {LocalError} BAD_ARGUMENT: it is no query, or several statements
   * @throws {Error} the database's, for a malformed one
   */
  query(sql: string, params: readonly SqlInput[], most: "one" | "all"): Promise<SqlRow[]>;
  /**
   * Checks a statement before it waits for its transaction. Whether it can be executed shows only then: a table may
   * be created by a statement before it.
   *
   * @throws {LocalError} BAD_ARGUMENT: it is several statements, or does what only the store may do
   */
  check(sql: string): void;
}

/** Where devices are kept. A server that is started again on the same store goes on where it stopped. */
export interface Store {
  /** Whether commits are expensive enough to batch: the server then gathers what a turn of the event loop brings. */
  readonly gathers: boolean;
  /** The applications' part of it, if there is one. */
  readonly database?: Database;
  /** What several processes on this store need of it, if several can use it. */
  readonly fleet?: Fleet;
  /** What showed, when it was opened, that it is older than what was told, for people. */
  readonly older?: string | undefined;
  /** All devices that it knows. */
  list(): Promise<KnownDevice[]>;
  /**
   * Takes charge of a device. It is not known before a change of it was committed.
   *
   * @throws {LocalError} STORE_FAILED; STORE_UNUSABLE: what it has of the device is damaged
   */
  acquire(id: string): Promise<Acquired>;
  /**
   * Executes works ahead of their commit, in a transaction that stays open: other commits go on meanwhile, however long
   * a statement takes. A store that has it is given no statements by `commit`, and refuses them. `MOST_EXECUTIONS` are there at a time.
   *
   * @throws {LocalError} STORE_FAILED: nothing has happened
   */
  executeAhead?(works: readonly Work[]): Promise<Execution>;
  /**
   * Makes a batch safe. Called again only when the call before has settled.
   *
   * @returns the works of which a statement has failed, with its error: nothing of them is in the store
   * @throws {LocalError} STORE_FAILED: nothing of the batch is in the store, and the next one has all of it again
   * @throws {FencedError} somebody else has acquired this device since; nothing of the batch is in the store
   */
  commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>>;
  /**
   * Takes whom to tell, during a commit, that it may take long: those who want to write are refused until it has ended.
   * For a store that cannot be reached, and must not say of a commit that it has failed before it knows.
   */
  watchStalls?(stalled: (error: LocalError) => void): void;
  /**
   * Copies all that is committed into another file, while commits go on; not every store can.
   *
   * @throws {LocalError} BAD_ARGUMENT: there can be none in that place; BACKUP_FAILED
   */
  backup?(path: string): Promise<void>;
  /** Frees what it holds. It commits nothing. */
  close(): Promise<void>;
}
