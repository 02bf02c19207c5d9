/**
 * A process's connection to the modelled database. It is serialisable: each request is executed at one instant, or not
 * at all. Requests and answers take their time, and are lost when the path is cut. If a commit's answer was lost, the
 * process finds out the outcome, as `Store.commit` promises: it is never told that a commit has failed if it has not.
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
import type { Row, Rows } from "./disk.ts";
import type { FleetDisk, FleetWatcher } from "./fleet_disk.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { COUNT, EFFECT } from "./statements.ts";
import { check, execute, Recorder } from "./store.ts";

/** What it needs from its world. */
export interface FleetStoreWorld extends FleetWatcher {
  /** Something is about to be executed: a fault may happen here. */
  step(): void;
  /** Everything announced in this commit is safe now. */
  committed(): void;
  /** Counts an event. */
  count(kind: string): void;
}

/** The current state of the path to the database. */
export interface Way {
  /** Nothing arrives. */
  cutUntil: number;
  /** Requests arrive, answers do not. */
  deafUntil: number;
  /** The database refuses everything. */
  failsUntil: number;
}

/** Requests that take the database some time. */
export type Taking = "commit" | "acquire" | "execute";

/** A connection without an answer for this long, in ms, counts as lost. */
const PATIENCE = 200;

/** Share of hints that get lost; and of moments with a hint for nothing. */
const LOST_HINTS = 0.6;
const EMPTY_HINTS = 0.1;

/** Share of commits that are asked for their changes a second time. */
const ASKS_AGAIN = 0.3;

/** Share of transactions with executed statements that are lost before their commit. */
const LOST_EXECUTIONS = 0.03;

/** A transaction of the database whose works are executed and not committed. */
interface Open extends Execution {
  /** Whether the database still has it. */
  isOpen: boolean;
  /** The row numbers that it has drawn. */
  readonly drawn: readonly number[];
  /** The devices for which it has posted something, and their rows. */
  readonly receivers: ReadonlyMap<string, Rows | undefined>;
}

/** The result of a transaction. */
type Result = { readonly refused: ReadonlyMap<Work, unknown> } | { readonly error: LocalError };

/** A commit that the process waits for. */
interface Pending {
  /** Its number among the commits of this process. */
  readonly number: number;
  readonly batch: Batch;
  /** The works executed ahead, if any, and its own. */
  readonly works: readonly Work[];
  readonly open: Open | undefined;
  /** Set when it was executed. */
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
   * @param name The process's name in this run. @param time Draws how long something takes, in ms.
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

  /** Delivers something to the process over its connection. */
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

  /** Runs in a transaction of its own: its rows are visible when it is committed. */
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
    // Some may be left for later.
    const executed = this.#random.chance(0.9) ? left : left.slice(0, 1);
    const open: Open = {
      works: executed,
      refused,
      drawn: this.disk.tables.draw(executed),
      receivers: new Map(
        executed.flatMap(({ posts = [] }) => posts)
          .map(({ device }) => [device, this.disk.devices.get(device)]),
      ),
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
        // It may be delayed in the network, and arrive after the connection was lost.
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

  /** The answer was lost: asks until it is known whether the commit was executed. */
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
    // It may conflict with what others have done meanwhile: then the database aborts it.
    const failed = open && disk.tables.execute(open.works, open.drawn);
    if (failed && failed.size > 0) return { error: refusal() };
    // In PostgreSQL nobody can forget a device while a transaction has posted something for it; here that is aborted.
    if (open?.receivers.entries().some(([id, rows]) => disk.devices.get(id) !== rows)) {
      return { error: refusal() };
    }
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
      for (const row of written) {
        if (row[0] === "deadLetterAdded") world.deadLetterAdded(id, row[1].text);
      }
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

  /** Asks again, like a store that has to restart its transaction. */
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
