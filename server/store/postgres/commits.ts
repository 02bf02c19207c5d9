/** Commits batches, each in one transaction, and finds out about those whose outcome it was not told. */
import { LocalError } from "../../protocol/errors.ts";
import { MOST_MAIL, type Post } from "../fleet.ts";
import { type Batch, type Change, FencedError, type Work } from "../store.ts";
import { toChange } from "./guard.ts";
import type { StoreHost } from "./host.ts";
import type { Line } from "./line.ts";
import { type Asked, FENCED, Rows } from "./rows.ts";
import { isConflict, isFatal, isFence, isTaken, isTrouble, sqlstate } from "./sqlstate.ts";
import { toArray } from "./text.ts";
import type { Wire } from "./wire.ts";

type Refused = ReadonlyMap<Work, unknown>;

const NONE: Refused = new Map();

/** How often a batch is tried that is in the way of others. */
const ATTEMPTS = 5;

/** Between two attempts to find out, in ms. */
const PAUSE = 250;

const BEGIN: Asked = { sql: "BEGIN ISOLATION LEVEL READ COMMITTED" };
const COMMIT: Asked = { sql: "COMMIT" };

/** The transaction has failed, and nothing of it is in the database. */
interface Failure {
  readonly error: unknown;
  /** Which of the statements has failed. */
  readonly at: number;
}

export class Commits {
  readonly #host: StoreHost;
  readonly #line: Line;
  #gate = 0;
  #batch = 0; // the last one

  constructor(host: StoreHost, line: Line) {
    this.#host = host;
    this.#line = line;
  }

  /**
   * @returns the works of which a statement has failed
   * @throws {FencedError} @throws {Error} the database's, or a connection's; nothing of the batch is in the store
   */
  async commit(batch: Batch): Promise<Refused> {
    for (let attempt = 1;; attempt++) {
      const wire = await this.#line.wire();
      try {
        return await this.#atOnce(wire, batch) ?? await this.#oneByOne(wire, batch);
      } catch (error) {
        const isWorth = isConflict(error) || error instanceof GateError;
        if (!isWorth || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** In one round trip. @returns undefined: a work has failed, so each needs a savepoint */
  async #atOnce(wire: Wire, { works, changes }: Batch): Promise<Refused | undefined> {
    if (works.some(({ posts = [] }) => posts.length > 0)) return undefined;
    let statements: Asked[];
    try {
      statements = works.flatMap(statementsOf);
    } catch {
      return undefined;
    }
    const rows = this.#rows(changes(NONE));
    const failure = await this.#end(wire, [BEGIN, ...statements], rows);
    if (!failure) return NONE;
    const isWork = failure.at > 0 && failure.at <= statements.length;
    if (isWork && !isTrouble(failure.error) && !isConflict(failure.error)) return undefined;
    throw await this.#reason(wire, failure.error, rows);
  }

  async #oneByOne(wire: Wire, { works, changes }: Batch): Promise<Refused> {
    const refused = new Map<Work, unknown>();
    await wire.ask(BEGIN.sql);
    try {
      for (const work of works) {
        if (work.statements.length === 0 && !work.posts?.length) continue;
        const error = await attempt(wire, work, this.#host.process);
        if (error !== undefined) refused.set(work, error);
      }
    } catch (error) {
      if (wire.isOpen) await wire.ask("ROLLBACK");
      throw error;
    }
    const rows = this.#rows(changes(refused));
    const failure = await this.#end(wire, [], rows);
    if (!failure) return refused;
    throw await this.#reason(wire, failure.error, rows);
  }

  #rows(changes: Iterable<Change>): Rows {
    const { process, time, devices } = this.#host;
    const rows = new Rows(process, time.offset);
    for (const change of changes) rows.add(change, devices.get(change.id));
    return rows;
  }

  /** Ends a transaction. @returns what has failed; undefined: all of it is safe */
  async #end(wire: Wire, before: readonly Asked[], rows: Rows): Promise<Failure | undefined> {
    const number = { gate: this.#gate, batch: ++this.#batch };
    const asked = [...before, ...rows.statements(number), COMMIT];
    const answers = await Promise.allSettled(asked.map(({ sql, params }) => wire.ask(sql, params)));
    const last = answers.at(-1)!;
    const at = answers.findIndex(({ status }) => status === "rejected");
    if (last.status === "fulfilled") {
      if (last.value.command !== "ROLLBACK") return void this.#learn(rows);
    } else if (!isDecided(last.reason) && await this.#isThere(number.batch)) {
      return void this.#learn(rows);
    }
    return { error: (answers[at] as PromiseRejectedResult).reason, at };
  }

  /**
   * Finds out whether a batch is in the database, however long that takes; if it is not by now, it never will be: its
   * connection may still carry it, but the gate is another one.
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
          throw new Error("the database knew nothing of this server any more");
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

  /** Why a batch cannot be in the database: perhaps somebody else has a device. */
  async #reason(wire: Wire, error: unknown, rows: Rows): Promise<unknown> {
    if (!wire.isOpen) return error;
    if (isFence(error)) {
      const { rows: [fenced] } = await wire.ask(FENCED, rows.tokens);
      if (fenced) return new FencedError(rows.known.get(Number(fenced.device))!.id);
      await this.#isThere(NaN); // a process that was away for long was forgotten, with its gate
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

/** The transaction is right except for its gate. */
class GateError extends Error {}

/** What a work asks. @throws {LocalError} BAD_ARGUMENT */
function statementsOf({ statements }: Work): Asked[] {
  return statements.map(({ sql, params }) => ({ sql: toChange(sql), params }));
}

/** Executes a work in a savepoint. @returns why nothing of it has happened @throws {Error} the database's trouble */
async function attempt(wire: Wire, work: Work, process: number): Promise<unknown> {
  let statements: Asked[];
  try {
    statements = statementsOf(work);
  } catch (error) {
    return error;
  }
  const answers = await Promise.allSettled([
    wire.ask("SAVEPOINT holdfast_work"),
    ...statements.map(({ sql, params }) => wire.ask(sql, params)),
  ]);
  const failed = answers.find((it) => it.status === "rejected");
  if (failed && (!wire.isOpen || isTrouble(failed.reason) || isConflict(failed.reason))) {
    throw failed.reason;
  }
  const error = failed ? failed.reason : await post(wire, work.posts ?? [], process);
  if (error !== undefined) await wire.ask("ROLLBACK TO holdfast_work");
  await wire.ask("RELEASE holdfast_work");
  return error;
}

/** Posts orders for devices that other processes have. @returns why it cannot */
async function post(wire: Wire, posts: readonly Post[], process: number) {
  if (posts.length === 0) return undefined;
  const { rows } = await wire.ask(POST, [
    toArray(posts.map(({ device }) => device)),
    toArray(posts.map(({ text }) => text)),
    toArray(posts.map(({ number }) => `${process} ${number}`)),
  ]);
  for (const [i, { device: id }] of posts.entries()) {
    const { device, waiting } = rows[i]!;
    if (device !== null && Number(waiting) <= MOST_MAIL) continue;
    const error = device === null
      ? new LocalError("UNKNOWN_DEVICE", `no device has ever connected as ${JSON.stringify(id)}`)
      : new LocalError("OUTBOX_FULL", `${MOST_MAIL} things wait for device ${JSON.stringify(id)}`);
    error.device = id;
    return error;
  }
  return undefined;
}

/**
 * In the order of the posts, each with what waits for its device together with it. Nobody forgets the devices meanwhile:
 * what is posted is found by whoever forgets them.
 */
const POST = `
  WITH d AS (
    SELECT device, id, process FROM holdfast_devices WHERE id = ANY($1) ORDER BY device FOR KEY SHARE
  ), r AS (
    SELECT d.device, d.process, p.text, p.sender, p.at
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS p (id, text, sender, at)
    LEFT JOIN d ON d.id = p.id ORDER BY p.at
  ), posted AS (
    INSERT INTO holdfast_mail (device, number, text, sender)
    SELECT device, nextval('holdfast_tokens'), text, sender
    FROM (SELECT * FROM r WHERE device IS NOT NULL ORDER BY at) AS known
  )
  SELECT device, (SELECT count(*) FROM holdfast_mail AS m WHERE m.device = r.device)
      + count(*) OVER (PARTITION BY device) AS waiting,
    pg_notify('holdfast_' || coalesce(process, 0), '') AS told
  FROM r ORDER BY at`;

/** Whether an error says for certain that its transaction has not been committed. */
function isDecided(error: unknown): boolean {
  const code = sqlstate(error);
  return code !== undefined && !isFatal(error) && code !== "40003" && code !== "08007";
}
