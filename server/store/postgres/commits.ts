/** Commits batches, each in one transaction, and finds out the outcome if the connection was lost. */
import { type Batch, type Change, FencedError, type Work } from "../store.ts";
import { PostgresExecution } from "./executor.ts";
import type { StoreHost } from "./host.ts";
import type { Line } from "./line.ts";
import { type Asked, FENCED, Rows } from "./rows.ts";
import { isConflict, isFatal, isFence, isTaken, sqlstate } from "./sqlstate.ts";
import { toArray } from "./text.ts";
import type { Wire } from "./wire.ts";
import { BEGIN, tryPost } from "./works.ts";

type Refused = ReadonlyMap<Work, unknown>;

const NONE: Refused = new Map();

/** How often a batch is tried that conflicts with others. */
const ATTEMPTS = 5;

/** Delay between two attempts to find out, in ms. */
const PAUSE = 250;

const COMMIT: Asked = { sql: "COMMIT" };

export class Commits {
  readonly #host: StoreHost;
  readonly #line: Line;
  #gate = 0;
  #batch = 0; // number of the last batch

  constructor(host: StoreHost, line: Line) {
    this.#host = host;
    this.#line = line;
  }

  /**
   * @returns the works whose posts were refused
   * @throws {FencedError} @throws {Error} the database's, or the connection's; nothing of the batch is in the
   * store
   */
  async commit(batch: Batch): Promise<Refused> {
    if (batch.execution) return await this.#endExecution(batch);
    for (let attempt = 1;; attempt++) {
      const wire = await this.#line.wire();
      try {
        return await this.#commit(wire, batch, [BEGIN]);
      } catch (error) {
        const isWorth = isConflict(error) || error instanceof GateError;
        if (!isWorth || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Commits on the connection that executed its statements. */
  async #endExecution(batch: Batch): Promise<Refused> {
    const execution = batch.execution as PostgresExecution;
    const { wire } = execution;
    try {
      await this.#line.wire(); // this connection holds the lock that shows the store is in use
      if (!wire.isOpen) throw new Error("the connection of a transaction was lost");
      const refused = await this.#commit(wire, batch, []);
      execution.end();
      return refused;
    } catch (error) {
      execution.giveUp();
      throw error;
    }
  }

  /** @param begin Comes first, unless the transaction has begun. Takes one round trip if nothing is posted. */
  async #commit(wire: Wire, batch: Batch, begin: readonly Asked[]): Promise<Refused> {
    const { changes } = batch;
    if (batch.works.some(({ statements }) => statements.length > 0)) {
      throw new Error("statements must be executed ahead of their commit");
    }
    const works = batch.works.filter(({ posts = [] }) => posts.length > 0);
    if (works.length === 0) return await this.#end(wire, begin, this.#rows(changes(NONE)), NONE);
    const refused = new Map<Work, unknown>();
    for (const { sql } of begin) await wire.ask(sql);
    try {
      for (const work of works) {
        const error = await tryPost(wire, work.posts!, this.#host.process);
        if (error !== undefined) refused.set(work, error);
      }
    } catch (error) {
      if (wire.isOpen) await wire.ask("ROLLBACK");
      throw error;
    }
    return await this.#end(wire, [], this.#rows(changes(refused)), refused);
  }

  #rows(changes: Iterable<Change>): Rows {
    const { process, time, devices } = this.#host;
    const rows = new Rows(process, time.offset);
    for (const change of changes) rows.add(change, devices.get(change.id));
    return rows;
  }

  /** Ends a transaction. @returns `refused`: the rest is safe @throws why nothing of it is in the database */
  async #end(
    wire: Wire,
    before: readonly Asked[],
    rows: Rows,
    refused: Refused,
  ): Promise<Refused> {
    const number = { gate: this.#gate, batch: ++this.#batch };
    const asked = [...before, ...rows.statements(number), COMMIT];
    const answers = await Promise.allSettled(asked.map(({ sql, params }) => wire.ask(sql, params)));
    const last = answers.at(-1)!;
    const isDone = last.status === "fulfilled"
      ? last.value.command !== "ROLLBACK"
      : !isDecided(last.reason) && await this.#isThere(number.batch);
    if (isDone) {
      this.#learn(rows);
      return refused;
    }
    const failed = answers.find(({ status }) => status === "rejected") as PromiseRejectedResult;
    throw await this.#reason(wire, failed.reason, rows);
  }

  /**
   * Finds out whether a batch is in the database, however long that takes. If it is not there now, it never will be:
   * its connection may still carry it, but the gate has changed.
   */
  async #isThere(batch: number): Promise<boolean> {
    for (;;) {
      try {
        const wire = await this.#line.wire();
        const { rows: [row] } = await wire.ask(
          "UPDATE holdfast_processes SET gate = gate + 1 WHERE process = $1 RETURNING gate, batch",
          [this.#host.process],
        );
        if (!row) {
          const sql = "INSERT INTO holdfast_processes (process, gate, batch) VALUES ($1, 0, 0)";
          await wire.ask(sql, [this.#host.process]);
          throw new Error("the database has forgotten this server");
        }
        this.#gate = Number(row.gate);
        return Number(row.batch) === batch;
      } catch (error) {
        if (this.#host.isClosed) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  #learn(rows: Rows): void {
    const { devices } = this.#host;
    for (const { id, token } of rows.made) devices.set(id, token);
    for (const { id, removed } of rows.known.values()) if (removed) devices.delete(id);
  }

  /** Why a batch cannot be in the database: another server may have a device. */
  async #reason(wire: Wire, error: unknown, rows: Rows): Promise<unknown> {
    if (!wire.isOpen) return error;
    if (isFence(error)) {
      const { rows: [fenced] } = await wire.ask(FENCED, rows.tokens);
      if (fenced) return new FencedError(rows.known.get(Number(fenced.device))!.id);
      await this.#isThere(NaN); // a process that was away too long was forgotten, with its gate
      return new GateError("the database has another gate for this server", { cause: error });
    }
    if (isTaken(error, "holdfast_devices")) {
      const ids = rows.made.map(({ id }) => id);
      const sql = "SELECT id FROM holdfast_devices WHERE id = ANY($1)";
      const { rows: [taken] } = await wire.ask(sql, [toArray(ids)]);
      const id = ids.find((id) => toArray([id]) === toArray([String(taken?.id)]));
      if (id !== undefined) return new FencedError(id);
    }
    return error;
  }
}

/** The transaction is valid except for its gate. */
class GateError extends Error {}

/** Whether an error proves that its transaction was not committed. */
function isDecided(error: unknown): boolean {
  const code = sqlstate(error);
  return code !== undefined && !isFatal(error) && code !== "40003" && code !== "08007";
}
