/**
 * A process's connection to the modelled database. It is serialisable: each request is executed at one instant, or not
 * at all. Requests and answers take their time, and are lost where the way is cut. A commit whose answer was lost is
 * found out about, as `Store.commit` promises: a process is never told that it has failed if it has not.
 */
import { LocalError } from "../../server/protocol/errors.ts";
import type { Fleet } from "../../server/store/fleet.ts";
import {
  type Acquired,
  type Batch,
  type Change,
  type Database,
  type Execution,
  FencedError,
  type KnownDevice,
  MOST_EXECUTIONS,
  type SqlInput,
  type SqlRow,
  type Store,
  type Work,
} from "../../server/store/store.ts";
import type { Row } from "./disk.ts";
import type { FleetDisk, FleetWatcher } from "./fleet_disk.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { COUNT, EFFECT } from "./statements.ts";
import { check, execute, Recorder } from "./store.ts";

/** What it needs of its world. */
export interface FleetStoreWorld extends FleetWatcher {
  /** Something is going to be executed, or not: a fault may come here. */
  step(): void;
  /** All that was said to become safe, is. */
  committed(): void;
  /** Something has happened that is worth counting. */
  count(kind: string): void;
}

/** How the way to the database is at present. */
export interface Way {
  /** Nothing arrives. */
  cutUntil: number;
  /** Requests arrive, answers do not. */
  deafUntil: number;
  /** The database refuses everything. */
  failsUntil: number;
}

/** What the database takes its time for. */
export type Taking = "commit" | "acquire" | "execute";

/** A connection that gives no answer for this time, in ms, is taken for lost. */
const PATIENCE = 200;

/** Of hints, the share that gets lost; and of moments in which one comes for nothing. */
const LOST_HINTS = 0.6;
const EMPTY_HINTS = 0.1;

/** Of commits, the share that is asked a second time what is different. */
const ASKS_AGAIN = 0.3;

/** Of transactions whose statements are executed, the share that are lost before their commit. */
const LOST_EXECUTIONS = 0.03;

/** A transaction of the database, whose works are executed and not committed. */
interface Open extends Execution {
  /** Whether the database still has it. */
  isOpen: boolean;
  /** Numbers of rows that it has drawn. */
  readonly drawn: readonly number[];
}

/** The result of a transaction. */
type Result = { readonly refused: ReadonlyMap<Work, unknown> } | { readonly error: LocalError };

/** A commit that the process waits for. */
interface Pending {
  /** Among those of this process. */
  readonly number: number;
  readonly batch: Batch;
  /** The works of its execution, if it has one, and its own. */
  readonly works: readonly Work[];
  readonly open: Open | undefined;
  /** As soon as it was executed. */
  result: Result | undefined;
  end(result: Result): void;
}

export class FleetStore implements Store {
  readonly gathers = true;
  readonly database: Database;
  readonly fleet: Fleet;
  #commits = 0;
  #pending: Pending | undefined;
  readonly #open = new Set<Open>();
  #executing = 0;
  #isDead = false;
  #seen: Map<number, number> | undefined;

  /**
   * @param name Of the process, in this life.
   * @param time Draws how long something takes, in ms.
   */
  constructor(
    readonly name: string,
    readonly disk: FleetDisk,
    readonly world: FleetStoreWorld,
    readonly platform: SimPlatform,
    readonly way: Way,
    readonly time: (what: Taking) => number | undefined,
  ) {
    this.database = { query: (sql, params) => this.#query(sql, params), check };
    this.fleet = this.#fleet();
  }

  get #ahead(): number {
    return -this.platform.wiring.clockAhead;
  }

  get #now(): number {
    return this.platform.process.world.clock.now;
  }

  get #random() {
    return this.platform.process.world.random;
  }

  /** One transaction. @throws {LocalError} STORE_FAILED: whether it was executed is not known */
  #ask<T>(execute: () => T, what: Taking = "acquire"): Promise<T> {
    return new Promise((resolve, reject) => {
      const { clock } = this.platform.process.world;
      const time = this.time(what) ?? 0;
      const there = this.#random.below(time + 1);
      const lost = () =>
        clock.after(
          PATIENCE,
          () =>
            this.#come(() =>
              reject(new LocalError("STORE_FAILED", "the database does not answer"))
            ),
        );
      clock.after(there, () => {
        if (this.#isDead) return;
        if (this.#now < this.way.cutUntil) return lost();
        if (this.#now < this.way.failsUntil) {
          return this.#come(() => reject(new LocalError("STORE_FAILED", "the database refuses")));
        }
        const answer = execute();
        clock.after(time - there, () => {
          if (this.#now < Math.max(this.way.cutUntil, this.way.deafUntil)) return lost();
          this.#come(() => resolve(answer));
        });
      });
    });
  }

  /** Something comes to the process by its connection. */
  #come(run: () => void): void {
    if (!this.#isDead) this.platform.process.arrive(() => this.#isDead || run());
  }

  list(): Promise<KnownDevice[]> {
    return this.#ask(() =>
      Array.from(this.disk.devices, ([id, { inbox, outbox }]) => {
        return { id, inbox: inbox.length, outbox: outbox.length };
      })
    );
  }

  acquire(id: string): Promise<Acquired> {
    return this.#ask(() => this.disk.take(this.name, id, this.#ahead, this.#now, this.world));
  }

  #fleet(): Fleet {
    const { disk, name, world } = this;
    return {
      lease: disk.lease,
      sender: (number) => `${name} ${number}`,
      join: (heard) =>
        this.#ask(() => disk.join(name, this.#now, () => this.#hint(heard)), "commit"),
      beat: (seen) => {
        if (this.#random.chance(EMPTY_HINTS)) disk.hint(name);
        return this.#ask(() => disk.beat(name, seen, this.#now), "commit");
      },
      look: (id, token) => this.#ask(() => disk.look(name, id, token, this.#ahead, world)),
      adopt: (id) => this.#ask(() => disk.adopt(name, id, this.#ahead, this.#now, world)),
      read: (ids) => this.#ask(() => disk.read(ids, this.#ahead)),
      exchange: async (label, sights) => {
        const { around, seen } = await this.#ask(() =>
          disk.exchange(name, label, sights, this.#seen, this.#now)
        );
        this.#seen = seen;
        return around;
      },
      leave: () => this.#ask(() => disk.leave(name), "commit"),
    };
  }

  #hint(heard: () => void): void {
    if (this.#random.chance(LOST_HINTS)) return;
    this.platform.process.world.clock.after(this.#random.below(20), () => {
      if (this.#now >= this.way.cutUntil) this.#come(heard);
    });
  }

  commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>> {
    if (this.#pending) throw new Violation("a commit begins while another one is under way");
    return new Promise((resolve, reject) => {
      const end = (result: Result) => {
        this.#pending = undefined;
        if ("error" in result) reject(result.error);
        else resolve(result.refused);
      };
      if (batch.works.some(({ statements }) => statements.length > 0)) {
        throw new Violation("a commit is given statements that are not executed");
      }
      const open = batch.execution as Open | undefined;
      if (open && !this.#open.delete(open)) {
        throw new Violation("a commit is given what was given up, or committed before");
      }
      const works = [...open?.works ?? [], ...batch.works];
      this.#send({ number: ++this.#commits, batch, works, open, result: undefined, end });
    });
  }

  /** Whether a transaction is under way while nothing is committed. */
  get isExecuting(): boolean {
    return this.#executing > 0 && !this.#pending;
  }

  /** How many commits have begun. */
  get commits(): number {
    return this.#commits;
  }

  /** In a transaction of its own: rows that it writes are seen when it is committed. */
  async executeAhead(works: readonly Work[]): Promise<Execution> {
    if (++this.#executing + this.#open.size > MOST_EXECUTIONS) {
      throw new Violation("more is executed than there are connections");
    }
    try {
      const open = await this.#ask(() => this.#executeAhead([...works]), "execute");
      this.#open.add(open);
      return open;
    } finally {
      this.#executing--;
    }
  }

  #executeAhead(works: readonly Work[]): Open {
    const { clock } = this.platform.process.world;
    const refused = execute(works);
    const able = works.filter((work) => !refused.has(work));
    for (const [work, error] of this.disk.tables.tries(able, this.#now)) refused.set(work, error);
    for (const work of works) {
      const error = this.#refusesPosts(work);
      if (error && !refused.has(work)) refused.set(work, error);
    }
    const left = works.filter((work) => !refused.has(work));
    // Some may be left for another time.
    const executed = this.#random.chance(0.9) ? left : left.slice(0, 1);
    const open: Open = {
      works: executed,
      refused,
      drawn: this.disk.tables.draw(executed),
      isOpen: true,
      giveUp: () => {
        open.isOpen = false;
        this.#open.delete(open);
      },
    };
    if (this.#random.chance(LOST_EXECUTIONS)) {
      clock.after(this.#random.below(PATIENCE), () => open.isOpen = false);
    }
    return open;
  }

  #refusesPosts({ posts = [] }: Work): LocalError | undefined {
    return posts.values().map((post) => this.disk.refuses(post)).find(Boolean);
  }

  #send(pending: Pending): void {
    this.#pending = pending;
    const { clock } = this.platform.process.world;
    const time = this.time("commit") ?? 0;
    const there = this.#random.below(time + 1);
    const lost = () => clock.after(PATIENCE, () => this.#come(() => this.#findOut(pending)));
    clock.after(there, () => {
      this.world.step();
      if (this.#isDead) return;
      if (this.#now < this.way.cutUntil) {
        // It may lie in the network, and arrive when the connection is lost already.
        if (this.#random.chance(0.3)) {
          clock.after(
            this.#random.below(2 * PATIENCE),
            () => this.#isDead || this.#arrive(pending),
          );
        }
        return lost();
      }
      if (this.#now < this.way.failsUntil) {
        return this.#come(() => pending.end({ error: refusal() }));
      }
      this.#arrive(pending);
      clock.after(time - there, () => {
        if (this.#now < Math.max(this.way.cutUntil, this.way.deafUntil)) return lost();
        this.#come(() => pending.end(pending.result!));
      });
    });
  }

  #arrive(pending: Pending): void {
    if (!this.disk.mayExecute(this.name, pending.number)) return;
    pending.result ??= this.#execute(pending);
  }

  /** The answer was lost: asks until somebody says whether it was executed. */
  #findOut(pending: Pending): void {
    const { disk, name, platform: { process } } = this;
    this.#ask(() => disk.decide(name, pending.number)).then(
      (isDone) => pending.end(isDone ? pending.result! : { error: refusal() }),
      () => process.after(PATIENCE / 4, () => this.#findOut(pending)),
    );
  }

  #execute(pending: Pending): Result {
    const { tables } = this.disk;
    tables.now = this.#now;
    const result = this.#perform(pending);
    tables.end("refused" in result);
    return result;
  }

  #perform({ number, batch, works, open }: Pending): Result {
    const { disk, name, world } = this;
    if (open && !open.isOpen) return { error: refusal() };
    if (open) open.isOpen = false;
    // What others have done meanwhile may be in its way: then the database gives it up.
    const failed = open && disk.tables.execute(open.works, open.drawn);
    if (failed && failed.size > 0) return { error: refusal() };
    const refused = new Map<Work, unknown>();
    for (const work of batch.works) {
      const error = this.#refusesPosts(work);
      if (error) refused.set(work, error);
    }
    const changes = [...batch.changes(refused)];
    const fenced = disk.fenced(changes);
    if (fenced !== undefined) return { error: new FencedError(fenced) };
    const rows = this.#collect(changes);
    if (this.#random.chance(ASKS_AGAIN)) this.#askAgain(batch, refused, rows);
    for (const [id, written] of rows) {
      for (const row of written) if (row[0] === "buried") world.buried(id, row[1].text);
    }
    for (const work of works) {
      if (refused.has(work)) continue;
      for (const { sql, params } of work.statements) {
        if (sql === EFFECT) disk.affect(params, world);
      }
      for (const post of work.posts ?? []) disk.post(name, post, this.#now, world);
    }
    for (const change of changes) {
      disk.sort(change, world);
      if (change.removed) disk.remove(change.id, world);
      else disk.write(change.id, rows.get(change.id)!, world);
    }
    disk.executed(name, number);
    if (this.#executing > 0) world.count("a commit beside a transaction");
    for (const change of changes) if (!change.removed) disk.compare(change);
    world.committed();
    return { refused };
  }

  #collect(changes: Iterable<Change>): Map<string, Row[]> {
    const all = new Map<string, Row[]>();
    for (const change of changes) {
      const recorder = new Recorder(this.#ahead);
      change.write(recorder);
      all.set(change.id, recorder.rows);
    }
    return all;
  }

  /** As a store does that has to begin its transaction again. */
  #askAgain(batch: Batch, refused: ReadonlyMap<Work, unknown>, first: Map<string, Row[]>): void {
    const [before, after] = [first, this.#collect(batch.changes(refused))].map((it) =>
      JSON.stringify([...it].filter(([_, rows]) => rows.length > 0))
    );
    if (before !== after) {
      throw new Violation(`while a commit was under way, ${before} became ${after}`);
    }
  }

  /** The process is killed. Requests already on their way may still arrive. */
  die(): void {
    if (this.#isDead) return;
    const pending = this.#pending;
    if (pending && this.#now >= this.way.cutUntil && this.#random.chance(0.5)) {
      this.#arrive(pending);
    }
    this.#isDead = true;
  }

  #query(sql: string, params: readonly SqlInput[]): Promise<SqlRow[]> {
    if (sql.includes("sqlite_master")) throw new Error('relation "sqlite_master" does not exist');
    return this.#ask((): SqlRow[] => {
      const { effects, tables } = this.disk;
      if (sql === COUNT) return [{ n: effects.get(params.map(String).join("\0")) ?? 0 }];
      tables.now = this.#now;
      return tables.query(sql, ...params);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function refusal(): LocalError {
  return new LocalError("STORE_FAILED", "the database has not done it");
}
