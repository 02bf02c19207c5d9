/**
 * Decides which of several servers on one database has the connection to the broker. A row names it, with a token that
 * grows each time another server gets the lease. Everything that the connection must make safe is in a transaction with
 * `guard`, which fails if the token has changed by then; until it has ended nobody gets the lease. So a server that was
 * paused, or cut off from the database, changes nothing any more, whatever it still sends; and the broker ends its
 * connection when the next server connects, as both use the same client id.
 *
 * Renewing and taking it does not wait for the bridge's other transactions, of which there are thousands when all
 * devices are announced again: it would come too late then, and the next server would have to announce them all.
 *
 * The row's time is on the database's clock. A server also counts with its own clock, and disconnects from the broker
 * before the lease can have expired for the others.
 */
import { LocalError, type Transaction } from "../../server/mod.ts";
import type { Clock } from "../../server/transport/platform.ts";

/** Interval for reading what others have done, in ms. */
const LOOK = 100;

/** Parts of the lease: the interval between two beats, and a safety margin. */
const PACE = 1 / 5;
const MARGIN = 1 / 5;

/** Time after which a dead server is forgotten, if no device's row names it any more. */
const BURIED = "1 day";

/** SQL for when a lease ends that begins now; parameter: its length in ms. */
const UNTIL = `clock_timestamp() + ?::bigint * interval '1 millisecond'`;

/** What others have done. */
export interface Seen {
  /** Whether publications wait. */
  readonly waits: boolean;
  /** See `mqtt_session`. */
  readonly round: number;
}

/** What it needs from the bridge. */
export interface LeaseHost {
  readonly clock: Clock;
  /** @param order See `TransactionOptions`. */
  transaction(use: (tx: Transaction) => Promise<void> | void, order?: object): Promise<void>;
  /** This server has the connection from now on. */
  begins(): void;
  /** This server has lost the connection. */
  ends(): void;
  saw(seen: Seen): void;
  /** It can neither renew nor take the lease, and tries on. Called once for each reason in a row. */
  fails(error: unknown): void;
}

export class Lease {
  /** This server's name among those that have a bridge on the same tables. */
  readonly server = crypto.randomUUID();
  readonly #host: LeaseHost;
  readonly #ms: number;
  #token: number | undefined; // set while it has the lease
  #nextBeat = -Infinity;
  #cancelPause = () => {};
  #cancelEnd = () => {};
  #failure: string | undefined; // why the last look has failed
  #isClosed = false;

  /** @param ms Silence after which a server has lost the lease. */
  constructor(host: LeaseHost, ms: number) {
    this.#host = host;
    this.#ms = ms;
  }

  /** Starts to compete for the lease. */
  start(): void {
    void this.#run();
  }

  /**
   * Makes a transaction fail if another server has the lease by then. @throws {LocalError} FENCED: that is already
   * known
   */
  guard(tx: Transaction): void {
    this.#guard(tx, this.#token);
  }

  /** @param token The one with which the transaction was begun: it may rely on what another server has changed since. */
  #guard(tx: Transaction, token: number | undefined): void {
    if (token === undefined || token !== this.#token) throw fenced();
    tx.run(
      `SELECT 1 / count(*) FROM (
        SELECT 1 FROM mqtt_lease WHERE server = ? AND token = ? FOR SHARE
      ) AS held`,
      this.server,
      token,
    );
  }

  /**
   * Runs a transaction that is valid only if this server has the lease until then, without a break.
   *
   * @param order See `TransactionOptions`.
   * @throws {LocalError} FENCED; and its other errors
   */
  async transact(use: (tx: Transaction) => Promise<void> | void, order?: object): Promise<void> {
    const token = this.#token;
    try {
      await this.#host.transaction(async (tx) => {
        await use(tx);
        this.#guard(tx, token);
      }, order);
    } catch (error) {
      if ((error as { code?: unknown }).code !== DIVISION_BY_ZERO) throw error;
      if (this.#token === token) this.#end();
      throw fenced();
    }
  }

  /** This server cannot use the lease at present: it tries again with the next beat, if nobody else has it by then. */
  drop(): void {
    this.#end();
  }

  /** Releases the lease. Does not wait for its statements: the server may be about to close. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelPause();
    this.#end();
    this.#host.transaction((tx) => {
      tx.run(`UPDATE mqtt_lease SET until = '-infinity' WHERE server = ?`, this.server);
      tx.run(
        `UPDATE mqtt_servers SET alive_until = clock_timestamp() WHERE server = ?`,
        this.server,
      );
    }, this).catch(() => {}); // the others find out
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#look();
        this.#failure = undefined;
      } catch (error) {
        this.#fails(error); // if it lasts, the lease expires
      }
      if (this.#isClosed) return;
      await new Promise<void>((resolve) => {
        const forget = this.#host.clock.after(LOOK, resolve);
        this.#cancelPause = () => (forget(), resolve());
      });
    }
  }

  #fails(error: unknown): void {
    if (this.#isClosed || (error instanceof LocalError && error.code === "CLOSED")) return;
    const failure = String(error);
    if (failure === this.#failure) return;
    this.#failure = failure;
    this.#host.fails(error);
  }

  async #look(): Promise<void> {
    const { clock } = this.#host;
    const { isFree, seen } = await this.#read();
    if (this.#isClosed) return;
    if (isFree || clock.now() >= this.#nextBeat) await this.#beat();
    if (!this.#isClosed) this.#host.saw(seen);
  }

  /** A row of what is committed. The transaction that it needs is not awaited: it would wait for others' commits. */
  #get(...query: Parameters<Transaction["get"]>): ReturnType<Transaction["get"]> {
    return new Promise((resolve, reject) => {
      this.#host.transaction(async (tx) => resolve(await tx.get(...query)), this).catch(reject);
    });
  }

  async #read(): Promise<{ isFree: boolean; seen: Seen }> {
    const row = await this.#get(
      `SELECT server, token, until < clock_timestamp() AS is_free, round,
        EXISTS (SELECT 1 FROM mqtt_out WHERE stage = 0) AS waits
        FROM mqtt_lease CROSS JOIN mqtt_session`,
    );
    const { server, token, is_free, round, waits } = row!;
    if (server !== this.server || Number(token) !== this.#token) this.#end();
    return { isFree: is_free === 1, seen: { waits: waits === 1, round: Number(round) } };
  }

  /** Notes that this server is alive; renews the lease, or takes it if it is free. */
  async #beat(): Promise<void> {
    const begun = this.#host.clock.now();
    const before = this.#token;
    const token = before === undefined ? await this.#take() : await this.#renew(before);
    this.#nextBeat = begun + this.#ms * PACE;
    if (this.#isClosed || token === undefined) return;
    // The lease expired meanwhile. What was started with that token must not count any more: the next beat gets a new
    // one.
    if (before !== this.#token) return;
    this.#hold(token, begun + this.#ms * (1 - MARGIN) - this.#host.clock.now());
  }

  /** In a single transaction, as each waits for commits while the lease runs out. @returns the token, if it still counts */
  async #renew(token: number): Promise<number | undefined> {
    try {
      await this.transact((tx) => {
        this.#lives(tx);
        const sql = `UPDATE mqtt_lease SET until = ${UNTIL} WHERE server = ? AND token = ?`;
        tx.run(sql, this.#ms, this.server, token);
      }, this);
      return token;
    } catch (error) {
      if (error instanceof LocalError && error.code === "FENCED") return undefined;
      throw error;
    }
  }

  /** @returns the token, if the lease was free */
  async #take(): Promise<number | undefined> {
    await this.#host.transaction((tx) => {
      this.#lives(tx);
      tx.run(
        `UPDATE mqtt_lease SET server = ?, until = ${UNTIL}, token = token + 1
          WHERE server = ? OR until < clock_timestamp()`,
        this.server,
        this.#ms,
        this.server,
      );
    }, this);
    const row = await this.#get(`SELECT token FROM mqtt_lease WHERE server = ?`, this.server);
    return row && Number(row.token);
  }

  /** Notes that this server is alive, and forgets dead ones. */
  #lives(tx: Transaction): void {
    tx.run(
      `INSERT INTO mqtt_servers VALUES (?, ${UNTIL})
        ON CONFLICT (server) DO UPDATE SET alive_until = excluded.alive_until`,
      this.server,
      this.#ms,
    );
    tx.run(
      `DELETE FROM mqtt_servers AS s WHERE alive_until < clock_timestamp() - interval '${BURIED}'
        AND NOT EXISTS (SELECT 1 FROM mqtt_devices AS d WHERE d.server = s.server AND d.state <> 'offline')`,
    );
  }

  /** @param ms For how much longer. */
  #hold(token: number, ms: number): void {
    if (ms <= 0) return this.#end(); // the next beat shows whether another server has it
    this.#cancelEnd();
    this.#cancelEnd = this.#host.clock.after(ms, () => this.#end());
    if (token === this.#token) return;
    this.#token = token;
    this.#host.begins();
  }

  #end(): void {
    this.#cancelEnd();
    if (this.#token === undefined) return;
    this.#token = undefined;
    this.#host.ends();
  }
}

/** SQLSTATE with which `guard` fails. */
const DIVISION_BY_ZERO = "22012";

function fenced(): LocalError {
  return new LocalError("FENCED", "another server has the connection to the broker");
}
