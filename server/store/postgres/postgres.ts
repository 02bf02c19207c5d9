import { LocalError } from "../../protocol/errors.ts";
import type { Fleet } from "../fleet.ts";
import type {
  Acquired,
  Batch,
  Database,
  Execution,
  KnownDevice,
  SqlInput,
  SqlRow,
  Store,
  Work,
} from "../store.ts";
import { Commits } from "./commits.ts";
import { Executor } from "./executor.ts";
import type { StoreHost } from "./host.ts";
import { PostgresFleet } from "./fleet.ts";
import { noQuery, toChange, toQuery } from "./guard.ts";
import { Line } from "./line.ts";
import { list } from "./loading.ts";
import { LOCK, migrate } from "./schema.ts";
import { explain, isSetup, isWrite } from "./sqlstate.ts";
import { Taker } from "./taker.ts";
import { type ConnInfo, parseConnInfo } from "./conninfo.ts";
import { Wire } from "./wire.ts";

/** Options of `PostgresStore`. */
export interface PostgresStoreOptions {
  /**
   * The longest that one statement of an application may take, in ms, 100 to 3,600,000; then its transaction fails with
   * the database's error 57014. If it waits for a lock for half of that, its transaction is executed again; after twice
   * that time in all it fails with 55P03. Messages are acknowledged meanwhile. Default 5000.
   */
  statementTimeout?: number;
  /** Silence after which a server counts as dead, in ms, 500 to 600,000: then others take over its
   * devices. Default 5000. */
  lease?: number;
  /** Refuses a store that servers use, and keeps servers out: for copying it. Default false. */
  alone?: boolean;
  /** `now` is the clock of messages' times, default: the process's; `date`, if given, replaces the database's
   * clock, for tests. */
  clock?: { now(): number; date?(): number };
}

/** Connections for queries. */
const READERS = 3;

/** Time in ms after which writers are told that the store fails. */
const STALL = 2000;

/** Longer than any statement may take, in ms: a connection that is silent for this time counts as broken. */
const SILENCE = 5000;

/**
 * Keeps devices in a PostgreSQL database. A commit is one transaction and one round trip. Statements of applications
 * are executed before it, in a transaction on another connection, which the commit ends: so a slow one holds up no
 * device. Several servers may share a database: one server at a time has each device, and a commit of another one is
 * refused.
 *
 * Missing parts of the URL come from the environment, by libpq's conventions: PGPASSWORD, PGPASSFILE, PGSSLMODE,
 * PGSSLROOTCERT and so on. It connects when it is first used. Tables are created on the first use; their names begin
 * with `holdfast_`.
 *
 * Statements of applications have a `?` for each parameter, as with every store; `??` is the operator `?`, and one
 * without a `?` is passed to PostgreSQL unchanged. An integer comes back as a number, beyond 2^53 as a bigint; a
 * boolean as 1 or 0; `bytea` as bytes; everything else as PostgreSQL writes it.
 *
 * ```ts ignore
 * const store = new PostgresStore("postgres://holdfast@db.example/holdfast?sslmode=verify-full");
 * const server = await Server.listen({ store, keys });
 * ```
 */
export class PostgresStore implements Store, Database {
  readonly gathers = true;
  readonly dialect = "postgresql";
  /** The store itself. */
  readonly database: Database = this;
  readonly #info: ConnInfo;
  readonly #timeout: number;
  readonly #clock: { now(): number; date?(): number };
  readonly #alone: boolean;
  readonly #devices = new Map<string, number>();
  readonly #committing = new Line(() => this.#openWriter(true));
  readonly #taking = new Line(() => this.#openWriter(false));
  readonly #readers = Array.from({ length: READERS }, () => new Line(() => this.#openReader()));
  readonly #commits: Commits;
  readonly #executor: Executor;
  readonly #taker: Taker;
  readonly #fleet: PostgresFleet;
  /** For servers that share the store. */
  readonly fleet: Fleet;
  #begun: Promise<void> | undefined;
  #process = 0;
  #offset = 0;
  #stalled: (error: LocalError) => void = () => {};
  #closed = false;

  /**
   * Creates the store; it connects when it is first used.
   *
   * @param url `postgres://USER@HOST:PORT/DATABASE`; several hosts are separated by commas: the first that
   * accepts writes is used.
   * @throws {LocalError} BAD_ARGUMENT
   */
  constructor(
    url: string,
    { statementTimeout = 5000, lease = 5000, alone = false, clock }: PostgresStoreOptions = {},
  ) {
    if (!(lease >= 500 && lease <= 600_000)) {
      throw new LocalError("BAD_ARGUMENT", "lease must be 500 to 600,000 ms");
    }
    if (!(statementTimeout >= 100 && statementTimeout <= 3_600_000)) {
      throw new LocalError("BAD_ARGUMENT", "statementTimeout must be 100 to 3,600,000 ms");
    }
    this.#info = parseConnInfo(url);
    this.#timeout = Math.round(statementTimeout);
    this.#alone = alone;
    this.#clock = clock ?? { now: () => performance.now() };
    const host = this.#host();
    this.#commits = new Commits(host, this.#committing);
    // Executed statements wait for the commit that is under way. They may have locked rows that other servers need, and
    // this process may stop meanwhile: the others wait for locks for longer (`LOCK_WAITS`).
    this.#executor = new Executor(host, () => this.#openWriter(false, this.#timeout));
    this.#taker = new Taker(host, this.#taking);
    this.fleet = this.#fleet = new PostgresFleet(host, {
      line: this.#taking,
      listen: (channels, heard) => this.#listen(channels, heard),
      explaining: (act) => this.#explaining(act),
    }, Math.round(lease));
  }

  #host(): StoreHost {
    const [process, time, isClosed] = [
      () => this.#process,
      () => ({ now: this.#clock.now(), offset: this.#offset }),
      () => this.#closed,
    ];
    return {
      get process() {
        return process();
      },
      get time() {
        return time();
      },
      get isClosed() {
        return isClosed();
      },
      devices: this.#devices,
    };
  }

  /** Its URL, without the password. */
  get about(): string {
    return this.#info.about;
  }

  /** Whether the password is in the URL, where the list of processes may show it. */
  get hasPassword(): boolean {
    return this.#info.hasPassword;
  }

  watchStalls(stalled: (error: LocalError) => void): void {
    this.#stalled = stalled;
  }

  list(): Promise<KnownDevice[]> {
    return this.#explaining(async () => {
      await this.#committing.wire(); // this shows whether the store may be used
      return await list(await this.#taking.wire());
    });
  }

  acquire(id: string): Promise<Acquired> {
    return this.#explaining(() => this.#taker.take(id));
  }

  executeAhead(works: readonly Work[]): Promise<Execution> {
    return this.#explaining(() => this.#executor.execute(works));
  }

  async commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>> {
    const about = `it has not answered for ${STALL} ms, or cannot be reached`;
    const timer = setTimeout(() => this.#stalled(this.#failure(about)), STALL);
    try {
      return await this.#explaining(() => this.#commits.commit(batch));
    } finally {
      clearTimeout(timer);
    }
  }

  async query(sql: string, params: readonly SqlInput[], most: "one" | "all"): Promise<SqlRow[]> {
    this.#checkOpen();
    const query = toQuery(sql);
    const line = this.#readers.toSorted((a, b) => a.waiting - b.waiting)[0]!;
    const wire = await this.#explaining(() => line.wire());
    try {
      const { rows } = await wire.ask(query, params);
      return most === "one" ? rows.slice(0, 1) : [...rows];
    } catch (error) {
      if (isWrite(error)) throw noQuery(sql, error);
      if (!wire.isOpen) throw this.#failure(explain(error), error);
      throw error;
    }
  }

  check(sql: string): void {
    this.#checkOpen();
    toChange(sql);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#fleet.close();
    const sql = "DELETE FROM holdfast_processes WHERE process = $1";
    await this.#committing.close((wire) => wire.ask(sql, [this.#process]));
    const lines = [this.#taking, this.#executor, ...this.#readers];
    await Promise.all(lines.map((line) => line.close()));
  }

  /**
   * @param locks Whether this connection holds the lock that shows the store is in use.
   * @param idle How long an open transaction may wait for its next statement, in ms.
   */
  async #openWriter(locks: boolean, idle = this.#timeout + SILENCE): Promise<Wire> {
    const wire = await Wire.open(this.#info, {
      settings: {
        statement_timeout: this.#timeout,
        // Less, so that an error tells a statement that is slow from one that is held up.
        lock_timeout: Math.ceil(this.#timeout / 2),
        // If this process vanishes, its locks are released.
        idle_in_transaction_session_timeout: idle,
      },
      silence: this.#timeout + SILENCE,
    });
    try {
      await (this.#begun ??= this.#begin(wire));
      // Overrides the database's configuration: what it has committed must survive a crash of the database alone.
      await wire.ask(
        `SELECT set_config('synchronous_commit', 'on', false)
          WHERE current_setting('synchronous_commit', true) = 'off'`,
      );
      if (locks) await this.#lock(wire);
      await this.#setClock(wire);
      return wire;
    } catch (error) {
      wire.cut(error as Error);
      throw error;
    }
  }

  #openReader(): Promise<Wire> {
    return Wire.open(this.#info, {
      settings: { statement_timeout: this.#timeout, default_transaction_read_only: "on" },
      silence: this.#timeout + SILENCE,
    });
  }

  async #listen(channels: readonly string[], notified: () => void): Promise<Wire> {
    const wire = await Wire.open(this.#info, {
      settings: {},
      silence: this.#timeout + SILENCE,
      notified,
    });
    for (const channel of channels) await wire.ask(`LISTEN ${channel}`);
    return wire;
  }

  /** Done once for each process. */
  async #begin(wire: Wire): Promise<void> {
    try {
      const { rows: [row] } = await wire.ask("SHOW server_encoding");
      if (row!.server_encoding !== "UTF8") {
        const message = `its encoding is ${row!.server_encoding}: createdb --encoding UTF8`;
        throw new LocalError("STORE_UNUSABLE", `the store ${this.about}: ${message}`);
      }
      await migrate(wire, this.about);
      const { rows: [made] } = await wire.ask(
        `INSERT INTO holdfast_processes (process, gate, batch)
          VALUES (nextval('holdfast_tokens'), 0, 0) RETURNING process`,
      );
      this.#process = Number(made!.process);
    } catch (error) {
      this.#begun = undefined;
      throw error;
    }
  }

  /** Servers hold a shared lock while they are connected. */
  async #lock(wire: Wire): Promise<void> {
    const take = this.#alone ? "pg_try_advisory_lock" : "pg_try_advisory_lock_shared";
    const { rows: [row] } = await wire.ask(
      `SELECT ${take}($1, 'holdfast_store'::regclass::oid::int) AS is_ours`,
      [LOCK],
    );
    if (row!.is_ours === 1) return;
    const why = this.#alone ? "in use by a server: stop that one" : "being copied: wait";
    throw new LocalError("STORE_UNUSABLE", `the store ${this.about} is ${why}`);
  }

  async #setClock(wire: Wire): Promise<void> {
    const before = this.#clock.now();
    const { rows: [row] } = await wire.ask(
      "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS date",
    );
    const now = (before + this.#clock.now()) / 2;
    this.#offset = (this.#clock.date?.() ?? Number(row!.date)) - now;
  }

  /** Runs a function, and adds to the database's errors what to do about them. */
  async #explaining<T>(act: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    try {
      return await act();
    } catch (error) {
      if (error instanceof LocalError && error.code !== "CLOSED") throw error;
      if (this.#closed) throw this.#failure("it was closed", error);
      if (!isSetup(error)) throw this.#failure(explain(error), error);
      const message = `the store ${this.about} cannot be used: ${explain(error)}`;
      throw new LocalError("STORE_UNUSABLE", message, { cause: error });
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#failure("it was closed; close its server first");
  }

  #failure(why: string, cause?: unknown): LocalError {
    const message = `nothing can be written to the store ${this.about}: ${why}`;
    return new LocalError("STORE_FAILED", message, { cause });
  }
}
