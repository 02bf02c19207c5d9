/**
 * Executes works of applications ahead of their commit, each group on its own connection, whose transaction stays open
 * until a commit ends it. Meanwhile it locks no row of the store, except for the posts at the end: they keep the
 * devices that they are for from being forgotten.
 */
import { LocalError } from "../../protocol/errors.ts";
import { type Execution, MOST_EXECUTIONS, type Work } from "../store.ts";
import type { StoreHost } from "./host.ts";
import { Line } from "./line.ts";
import type { Asked } from "./rows.ts";
import { isConflict, isFatal, isLockTimeout, isTrouble } from "./sqlstate.ts";
import type { Wire } from "./wire.ts";
import { BEGIN, post, statementsOf } from "./works.ts";

/** How often works are tried that conflict with others. */
const ATTEMPTS = 5;

/**
 * How often works are tried that wait for a lock until `lock_timeout`, half of `statement_timeout`. A server that stands
 * still keeps its locks for no longer than `statement_timeout`; if they are still held after twice that, the
 * application is told.
 */
const LOCK_WAITS = 4;

/** Deferred constraints would be checked at the commit, where they would hold it up and no work could be blamed. */
const IMMEDIATE: Asked = { sql: "SET CONSTRAINTS ALL IMMEDIATE" };

const ROLLBACK = "ROLLBACK";

/** Why works could not be executed. */
interface Failure {
  readonly error: unknown;
  /** The work whose statement has failed; undefined: none, or it is unknown. */
  readonly work: Work | undefined;
}

export class PostgresExecution implements Execution {
  #isOver = false;
  readonly #ended: () => void;

  /** @param ended Called when its connection is free. */
  constructor(
    readonly wire: Wire,
    readonly works: readonly Work[],
    readonly refused: ReadonlyMap<Work, unknown>,
    ended: () => void,
  ) {
    this.#ended = ended;
    if (works.length === 0) this.end(); // there is no transaction
  }

  giveUp(): void {
    if (this.#isOver) return;
    this.wire.ask(ROLLBACK).catch(() => {}); // if the connection is broken, its transaction has ended
    this.end();
  }

  /** Its transaction has ended. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ended();
  }
}

export class Executor {
  readonly #host: StoreHost;
  readonly #lines: readonly Line[];
  readonly #free: Line[];

  /** @param open Opens a connection, when one is needed. */
  constructor(host: StoreHost, open: () => Promise<Wire>) {
    this.#host = host;
    this.#lines = Array.from({ length: MOST_EXECUTIONS }, () => new Line(open));
    this.#free = this.#lines.toReversed();
  }

  /** @throws {Error} from the database or the connection: nothing has happened */
  async execute(works: readonly Work[]): Promise<PostgresExecution> {
    const line = this.#free.pop();
    if (!line) throw new Error(`more than ${MOST_EXECUTIONS} transactions at a time`);
    const free = () => void this.#free.push(line);
    try {
      const wire = await line.wire();
      const refused = new Map<Work, unknown>();
      return new PostgresExecution(wire, await this.#execute(wire, works, refused), refused, free);
    } catch (error) {
      free();
      throw error;
    }
  }

  /** @param refused Collects works that cannot be executed. @returns those that were executed */
  async #execute(
    wire: Wire,
    works: readonly Work[],
    refused: Map<Work, unknown>,
  ): Promise<readonly Work[]> {
    const statements = new Map<Work, Asked[]>();
    for (const work of works) {
      try {
        statements.set(work, statementsOf(work));
      } catch (error) {
        refused.set(work, error);
      }
    }
    for (let conflicts = 0, waits = 0; statements.size > 0;) {
      const failure = await this.#attempt(wire, statements);
      if (!failure) break;
      const { error, work = statements.size === 1 ? [...statements.keys()][0] : undefined } =
        failure;
      if (!wire.isOpen || isFatal(error)) throw error;
      await wire.ask(ROLLBACK);
      if (isConflict(error) && ++conflicts < ATTEMPTS) continue;
      if (isLockTimeout(error) && ++waits < LOCK_WAITS) continue;
      const isTheirs = error instanceof LocalError || !(isConflict(error) || isTrouble(error));
      if (!isTheirs) throw error;
      if (work) {
        refused.set(work, error);
        statements.delete(work);
      } else for (const other of [...statements.keys()].slice(1)) statements.delete(other); // tried alone, the first one shows whether it is the cause
    }
    return [...statements.keys()];
  }

  /** Executes all works, in one transaction and, if nothing is posted, one round trip. */
  async #attempt(
    wire: Wire,
    statements: ReadonlyMap<Work, readonly Asked[]>,
  ): Promise<Failure | undefined> {
    const asked: (Asked & { work?: Work })[] = [BEGIN];
    for (const [work, its] of statements) asked.push(...its.map((it) => ({ ...it, work })));
    asked.push(IMMEDIATE);
    const answers = await Promise.allSettled(asked.map(({ sql, params }) => wire.ask(sql, params)));
    const at = answers.findIndex(({ status }) => status === "rejected");
    if (at >= 0) {
      return { error: (answers[at] as PromiseRejectedResult).reason, work: asked[at]!.work };
    }
    for (const work of statements.keys()) {
      try {
        const error = await post(wire, work.posts ?? [], this.#host.process);
        if (error !== undefined) return { error, work };
      } catch (error) {
        return { error, work };
      }
    }
    return undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.close()));
  }
}
