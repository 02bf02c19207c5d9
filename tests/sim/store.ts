/**
 * A slow store whose disk outlives the server: the next server finds the last commit. If the server is killed during a
 * commit, all of it is there, or nothing.
 */
import { LocalError } from "../../server/protocol/errors.ts";
import {
  type Acquired,
  type Batch,
  type Database,
  type DeadLetter,
  FencedError,
  type KnownDevice,
  type Outgoing,
  type Positions,
  type RowWriter,
  type SqlInput,
  type SqlRow,
  type Statement,
  type Store,
  type Work,
} from "../../server/store/store.ts";
import { Disk, type DiskWatcher, type Row } from "./disk.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { BROKEN, COUNT, CREATE, EFFECT } from "./statements.ts";

/** What the store needs from its world. */
export interface StoreWorld extends DiskWatcher {
  /** A commit is about to reach the store: a fault may happen here. */
  step(): void;
  /** Everything announced in this commit is safe now. */
  committed(): void;
  /** How the server must be killed in this commit, if at all. */
  tears(): Torn | undefined;
  tear(torn: Torn): void;
}

/** What a kill leaves of the current commit: nothing, or all of it. */
export type Torn = "before" | "after";

/** The state of the current commit. */
interface Pending {
  batch: Batch;
  works: readonly Work[];
  refused: Map<Work, unknown>;
  changes: Map<string, { token: number; rows: Row[]; removed: boolean }>;
  /** A real store has it. */
  isWritten: boolean;
  /** There was no room for it. */
  fails: boolean;
}

/** Share of the slow commits that are asked for their changes a second time. */
const ASKS_AGAIN = 0.3;

export class SimStore implements Store {
  readonly gathers = true;
  readonly database: Database;
  #tokens = new Map<string, number>();
  #pending: Pending | undefined;
  #isDead = false;

  /** @param time Draws how long something takes, in ms; undefined: no time at all. */
  constructor(
    readonly disk: Disk,
    readonly world: StoreWorld,
    readonly platform: SimPlatform,
    readonly time: (what: "commit" | "acquire") => number | undefined,
  ) {
    this.database = { query: (sql, params) => this.#query(sql, params), check };
  }

  /** How far the world's clock is ahead of the process's. */
  get #ahead(): number {
    return -this.platform.wiring.clockAhead;
  }

  list(): Promise<KnownDevice[]> {
    return this.#later(() =>
      Array.from(this.disk.devices, ([id, { inbox, outbox }]) => {
        return { id, inbox: inbox.length, outbox: outbox.length };
      })
    );
  }

  acquire(id: string): Promise<Acquired> {
    return this.#later(async () => {
      const state = this.disk.stateOf(id, this.#ahead);
      const token = (this.#tokens.get(id) ?? 0) + 1;
      const acquired = await this.disk.acquire(id, { state, token });
      this.#tokens.set(id, acquired.token);
      return acquired;
    });
  }

  commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>> {
    if (this.#pending) throw new Violation("a commit begins while another one is under way");
    const works = [...batch.works];
    const refused = execute(works);
    const changes = this.#collect(batch, refused);
    const pending: Pending = this.#pending = {
      batch,
      works,
      refused,
      changes,
      isWritten: false,
      fails: this.disk.full,
    };
    const fenced = this.#fenced();
    if (fenced) {
      this.#pending = undefined;
      return Promise.reject(fenced);
    }
    const torn = this.world.tears();
    const time = this.time("commit");
    const written = pending.fails ? undefined : this.disk.commit(batch, refused);
    pending.isWritten = this.disk.isCommitting = written !== undefined;
    if (time === undefined && !torn && !pending.fails) {
      const safe = this.#finish();
      return written ? written.then(() => safe) : Promise.resolve(safe);
    }
    const { process } = this.platform;
    if (torn) process.after(this.#random.below((time ?? 0) + 1), () => this.world.tear(torn));
    return new Promise((resolve, reject) => {
      process.after(time ?? 0, () => {
        this.world.step();
        if (!this.#isDead) this.#end(resolve, reject);
      });
    });
  }

  #end(resolve: (refused: Pending["refused"]) => void, reject: (error: LocalError) => void): void {
    // A commit that the real store has is not undone.
    const { isWritten, fails } = this.#pending!;
    const fenced = isWritten ? undefined : this.#fenced();
    if (!fenced && !fails && (!this.disk.full || isWritten)) return resolve(this.#finish());
    this.#pending = undefined;
    if (fenced) return reject(fenced);
    this.disk.failedAt = this.platform.process.world.clock.now;
    reject(new LocalError("STORE_FAILED", "the simulated disk is full"));
  }

  /** Another server takes a device, and gives it back. */
  async fence(id: string): Promise<void> {
    this.platform.process.world.entered();
    const token = (this.#tokens.get(id) ?? 0) + 1;
    this.#tokens.set(id, await this.disk.fence(id) ?? token);
  }

  get #random() {
    return this.platform.process.world.random;
  }

  #later<T>(answer: () => T | Promise<T>): Promise<T> {
    const time = this.time("acquire");
    if (time === undefined) return Promise.resolve(answer());
    return new Promise((resolve) => this.platform.process.after(time, () => resolve(answer())));
  }

  #collect(batch: Batch, refused: Pending["refused"]): Pending["changes"] {
    const changes: Pending["changes"] = new Map();
    for (const change of batch.changes(refused)) {
      const recorder = new Recorder(this.#ahead);
      change.write(recorder);
      const { id, token, removed } = change;
      changes.set(id, { token, rows: recorder.rows, removed });
    }
    return changes;
  }

  /** The error, if another server has the device of a change by now. */
  #fenced(): FencedError | undefined {
    for (const [id, { token }] of this.#pending!.changes) {
      if (token !== this.#tokens.get(id)) return new FencedError(id);
    }
    return undefined;
  }

  /** Makes all of it safe. */
  #finish(): Pending["refused"] {
    const { batch, refused, changes } = this.#pending!;
    if (this.#random.chance(ASKS_AGAIN)) this.#askAgain(this.#pending!);
    this.#apply();
    for (const change of batch.changes(refused)) {
      if (changes.has(change.id) && !change.removed) this.disk.compare(change);
    }
    this.#pending = undefined;
    this.world.committed();
    return refused;
  }

  /** Asks again, like a store that has to restart its transaction. */
  #askAgain({ batch, refused, changes }: Pending): void {
    const [before, after] = [changes, this.#collect(batch, refused)].map((it) =>
      JSON.stringify([...it].filter(([_, { rows }]) => rows.length > 0))
    );
    if (before !== after) {
      throw new Violation(`while a commit was under way, ${before} became ${after}`);
    }
  }

  #apply(): void {
    const { works, refused, changes } = this.#pending!;
    this.disk.isCommitting = false;
    for (const [id, { rows }] of changes) {
      for (const row of rows) {
        if (row[0] === "deadLetterAdded") this.world.deadLetterAdded(id, row[1].text);
      }
    }
    for (const work of works) {
      if (refused.has(work)) continue;
      for (const { sql, params } of work.statements) {
        if (sql === EFFECT) this.disk.affect(params, this.world);
        else if (sql !== CREATE) this.disk.tables.run(sql, params);
      }
    }
    for (const [id, { rows, removed }] of changes) {
      if (removed) this.disk.remove(id, this.world);
      else this.disk.write(id, rows, this.world);
    }
  }

  /** The process is killed. */
  die(torn: Torn = this.#random.pick(["before", "after"])): void {
    if (this.#isDead) return;
    this.#isDead = true;
    const pending = this.#pending;
    this.disk.isCommitting = false;
    const fails = pending !== undefined &&
      (pending.fails || (!pending.isWritten && this.disk.full));
    const isTorn = pending !== undefined && !fails && torn === "before";
    const isBefore = this.disk.die(isTorn ? this.#random : undefined);
    if (!pending || fails || isBefore || (!pending.isWritten && this.#fenced())) return;
    this.#apply();
    this.world.committed();
  }

  #query(sql: string, params: readonly SqlInput[]): Promise<SqlRow[]> {
    if (sql !== COUNT) return this.#later(() => this.disk.query(sql, params));
    const key = params.map(String).join("\0");
    return this.#later(() => [{ n: this.disk.effects.get(key) ?? 0 }]);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** @returns the works with a failing statement */
export function execute(works: readonly Work[]): Map<Work, unknown> {
  const refused = new Map<Work, unknown>();
  for (const work of works) {
    const broken = work.statements.find(({ sql }: Statement) => sql === BROKEN);
    if (broken) refused.set(work, new Error("NOT NULL constraint failed: effects.device"));
  }
  return refused;
}

export function check(sql: string): void {
  if (/holdfast_/.test(sql)) throw new LocalError("BAD_ARGUMENT", "this table is the store's");
}

/** Records the rows that are written to it. */
export class Recorder implements RowWriter {
  readonly rows: Row[] = [];

  /** @param ahead How far the world's clock is ahead of the process's. */
  constructor(readonly ahead: number) {}

  positions(positions: Positions, sent: number): void {
    this.rows.push(["positions", { ...positions }, sent]);
  }

  received(number: number, text: string): void {
    this.rows.push(["received", number, text]);
  }

  processed(before: number): void {
    this.rows.push(["processed", before]);
  }

  written(number: number, message: Outgoing): void {
    const { ahead } = this;
    const expires = message.expires === undefined ? undefined : message.expires + ahead;
    this.rows.push(["written", number, { ...message, written: message.written + ahead, expires }]);
  }

  settled(before: number): void {
    this.rows.push(["settled", before]);
  }

  forgotten(): void {
    this.rows.push(["forgotten"]);
  }

  heard(id: number, noted: Parameters<RowWriter["heard"]>[1]): void {
    this.rows.push(["heard", id, { ...noted }]);
  }

  deadLetterAdded(letter: DeadLetter): void {
    this.rows.push(["deadLetterAdded", letter]);
  }

  deadLetterRemoved(number: number): void {
    this.rows.push(["deadLetterRemoved", number]);
  }

  memo(key: string, text: string | undefined): void {
    this.rows.push(["memo", key, text]);
  }
}
