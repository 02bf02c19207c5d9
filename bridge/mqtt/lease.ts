/**
 * Which of several servers on one database has the connection to the broker. A row says which, with a token that grows
 * each time that another one gets it. Whatever the connection has to be safe is in a transaction with `guard`, which
 * fails if the token is another one by then, and until it has ended nobody gets the lease. So a server that was paused,
 * or cut off from the database, changes nothing any more, whatever it still sends; and the broker ends its connection
 * when the next server connects, as both say the same client id.
 *
 * The row's time is by the database's clock. A server also counts for itself, and leaves the broker alone before its time
 * can be up for the others.
 */
import { LocalError, type Transaction } from "../../server/mod.ts";
import type { Clock } from "../../server/transport/platform.ts";

/** Between two looks at what others have done, in ms. */
const LOOK = 100;

/** Of the lease: between two beats, and what this server does not count on. */
const PACE = 1 / 5;
const MARGIN = 1 / 5;

/** Time after which a dead server is forgotten, if nothing that it has said is left. */
const BURIED = "1 day";

/** What others have done. */
export interface Seen {
  /** Publications wait. */
  readonly waits: boolean;
  /** See `mqtt_session`. */
  readonly round: number;
}

/** What it needs of the bridge. */
export interface LeaseHost {
  readonly clock: Clock;
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void>;
  /** This server has the connection from now on. */
  begins(): void;
  /** It has it no longer. */
  ends(): void;
  saw(seen: Seen): void;
}

export class Lease {
  /** This server, among those that have a bridge on the same tables. */
  readonly server = crypto.randomUUID();
  readonly #host: LeaseHost;
  readonly #ms: number;
  #token: number | undefined; // it has it
  #nextBeat = -Infinity;
  #cancelPause = () => {};
  #cancelEnd = () => {};
  #isClosed = false;

  /** @param ms Silence after which a server has lost the lease. */
  constructor(host: LeaseHost, ms: number) {
    this.#host = host;
    this.#ms = ms;
  }

  /** Begins to look, and to want it. */
  start(): void {
    void this.#run();
  }

  /** Has a transaction fail if it is another server's by then. @throws {LocalError} FENCED: that is known already */
  guard(tx: Transaction): void {
    if (this.#token === undefined) throw fenced();
    tx.run(
      `SELECT 1 / count(*) FROM (
        SELECT 1 FROM mqtt_lease WHERE server = ? AND token = ? FOR SHARE
      ) AS held`,
      this.server,
      this.#token,
    );
  }

  /** A transaction that only counts while this server has it. @throws {LocalError} FENCED; what else it fails with */
  async transact(use: (tx: Transaction) => Promise<void> | void): Promise<void> {
    const token = this.#token;
    try {
      await this.#host.transaction(async (tx) => {
        await use(tx);
        this.guard(tx);
      });
    } catch (error) {
      if ((error as { code?: unknown }).code !== DIVISION_BY_ZERO) throw error;
      if (this.#token === token) this.#end();
      throw fenced();
    }
  }

  /** This server cannot use it at present: it tries again with the next beat, if nobody else has it by then. */
  drop(): void {
    this.#end();
  }

  /** Gives the lease to others. Its pending statements are not awaited: the server may be about to close. */
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
    }).catch(() => {}); // the others find out
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#look();
      } catch {
        // The store fails, and says so itself: the time is up then, if that lasts.
      }
      if (this.#isClosed) return;
      await new Promise<void>((resolve) => {
        const forget = this.#host.clock.after(LOOK, resolve);
        this.#cancelPause = () => (forget(), resolve());
      });
    }
  }

  async #look(): Promise<void> {
    const { clock } = this.#host;
    const { isFree, seen } = await this.#read();
    if (this.#isClosed) return;
    if (isFree || clock.now() >= this.#nextBeat) await this.#beat();
    if (!this.#isClosed) this.#host.saw(seen);
  }

  async #read(): Promise<{ isFree: boolean; seen: Seen }> {
    let row: Awaited<ReturnType<Transaction["get"]>>;
    await this.#host.transaction(async (tx) => {
      row = await tx.get(
        `SELECT server, token, until < clock_timestamp() AS is_free, round,
          EXISTS (SELECT 1 FROM mqtt_out WHERE stage = 0) AS waits
          FROM mqtt_lease CROSS JOIN mqtt_session`,
      );
    });
    const { server, token, is_free, round, waits } = row!;
    if (server !== this.server || Number(token) !== this.#token) this.#end();
    return { isFree: is_free === 1, seen: { waits: waits === 1, round: Number(round) } };
  }

  /** Says that this server is alive; keeps the lease, or takes it if it is free. */
  async #beat(): Promise<void> {
    const { clock, transaction } = this.#host;
    const begun = clock.now();
    const token = this.#token;
    const until = `clock_timestamp() + ?::bigint * interval '1 millisecond'`;
    await transaction((tx) => {
      tx.run(
        `INSERT INTO mqtt_servers VALUES (?, ${until})
          ON CONFLICT (server) DO UPDATE SET alive_until = excluded.alive_until`,
        this.server,
        this.#ms,
      );
      tx.run(
        `UPDATE mqtt_lease SET server = ?, until = ${until},
          token = token + CASE WHEN server = ? AND token = ? THEN 0 ELSE 1 END
          WHERE server = ? OR until < clock_timestamp()`,
        this.server,
        this.#ms,
        this.server,
        token ?? 0,
        this.server,
      );
      tx.run(
        `DELETE FROM mqtt_servers AS s WHERE alive_until < clock_timestamp() - interval '${BURIED}'
          AND NOT EXISTS (SELECT 1 FROM mqtt_devices AS d WHERE d.server = s.server AND d.state <> 'offline')`,
      );
    });
    this.#nextBeat = begun + this.#ms * PACE;
    let row: Awaited<ReturnType<Transaction["get"]>>;
    await transaction(async (tx) => {
      row = await tx.get(`SELECT token FROM mqtt_lease WHERE server = ?`, this.server);
    });
    if (this.#isClosed) return;
    if (!row) return this.#end();
    // Its time was up meanwhile. What it has begun with that token must not count any more: the next beat gets another.
    if (token !== this.#token) return;
    this.#hold(Number(row.token), begun + this.#ms * (1 - MARGIN) - clock.now());
  }

  /** @param ms For how much longer. */
  #hold(token: number, ms: number): void {
    if (ms <= 0 || token !== this.#token) this.#end();
    if (ms <= 0) return; // the next beat tells whether it is another one's by then
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

/** SQLSTATE: what `guard` fails with. */
const DIVISION_BY_ZERO = "22012";

function fenced(): LocalError {
  return new LocalError("FENCED", "another server has the connection to the broker");
}
