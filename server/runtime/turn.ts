import { LocalError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import { type Change, FencedError, type Store, type Work } from "../store/store.ts";
import type { Clock } from "../transport/platform.ts";
import { asFailure, Executions, type Group } from "./executions.ts";
import type { Transfer } from "./transfer.ts";

/** Delay between two attempts to commit to a failing store, in ms. */
const RETRY = 250;

/** Works that were left out of a commit, with the reasons. */
type Refused = ReadonlyMap<Work, unknown>;

const NONE: Refused = new Map();

const NO_WORKS: readonly Work[] = [];

/**
 * Called after a commit: true: all changes so far are safe; false: they cannot be made safe at present. `now` is the
 * same for all results of that commit, to save system calls.
 */
export type Result = (safe: boolean, now: number) => void;

/** Cancels a call that waits. */
export type Forget = () => void;

/** Receives the result of each commit. */
export interface TurnOwner {
  /** The store has begun to fail; undefined: it works again. */
  storeFails(error: LocalError | undefined): void;
  /** Another process has taken charge of a device: nothing of it may be let out any more. */
  fenced(error: FencedError): void;
}

/**
 * Commits changes to the store, and then lets out their results.
 *
 * The changes of one turn of the event loop become safe in one commit; only then are their results let out: acks
 * and messages to the sockets, messages to the applications.
 *
 * While a commit is under way nothing changes: records are changed in `enter`, which waits for the commit's end. So
 * memory is always what is safe, or what is being made safe.
 */
export class Turn {
  /** Ledgers of devices that differ from what is safe; each adds itself. */
  readonly changed = new Set<Ledger>();
  #store: Store;
  #clock: Clock;
  #owner: TurnOwner;
  #results = new Set<Result>();
  #transfers: Transfer[] = []; // waiting, or in the commit under way
  #applied: Transfer[] = []; // those in the commit that have changed the records
  readonly #executions: Executions | undefined; // transactions that the store executes ahead of their commit
  #group: Group | undefined; // the group in the commit
  #waiting = new Set<() => void>();
  #underWay: Promise<void> | undefined;
  #isSoon = false; // whether a commit is scheduled soon
  #isAtEnd = false; // whether a commit is scheduled at the end of this turn of the event loop
  #cancelRetry: (() => void) | undefined;
  #failure: LocalError | undefined;
  #reported: LocalError | undefined; // the store's failure that was reported
  #isStalled = false; // whether the commit under way has stalled
  #endWait: (() => void) | undefined; // ends the wait of `close`
  #closed = false;
  #isOver = false; // `close` has ended: nothing changes any more

  constructor(store: Store, clock: Clock, owner: TurnOwner) {
    this.#store = store;
    this.#clock = clock;
    this.#owner = owner;
    this.#executions = store.executeAhead && new Executions(store.executeAhead.bind(store), clock, {
      ready: () => {
        if (!this.busy && !this.#failure) this.#schedule();
      },
      looked: () => this.#report(),
    });
    store.watchStalls?.((error) => this.#stall(error));
  }

  /** Whether a commit is under way: nothing may change. */
  get busy(): boolean {
    return this.#underWay !== undefined;
  }

  /** Why the store accepts nothing at present; also set during a commit that takes long. */
  get failure(): LocalError | undefined {
    return this.#failure;
  }

  /** Number of waiting results and changes. */
  get waiting(): number {
    return this.#results.size + this.#waiting.size;
  }

  /**
   * Calls `change` at once, or when the commit under way has ended and its results are out; once, even if it is passed
   * several times.
   *
   * @returns a function that cancels it, because a commit may take long and the caller may go. undefined: it was
   * called
   */
  enter(change: () => void): Forget | undefined {
    if (!this.busy) return void change();
    this.#waiting.add(change);
    return () => void this.#waiting.delete(change);
  }

  /**
   * Something has changed; `result(true)` is called when it is safe, once even if it is passed several times.
   * While the store fails, `result(false)` is called as well: at once, or after the attempt under way.
   */
  touch(result: Result): void {
    this.#results.add(result);
    if (!this.#failure) this.#schedule();
    else if (!this.busy) result(false, this.#clock.now()); // otherwise when that attempt has failed, too
  }

  /**
   * Like `touch`, if nobody waits for it: if no commit comes earlier, there is one at the end of this turn of the event
   * loop.
   */
  touchAtEnd(result: Result): void {
    this.#results.add(result);
    if (!this.#failure) this.#scheduleAtEnd();
    else if (!this.busy) result(false, this.#clock.now());
  }

  /** Cancels a `touch`: its caller has gone, and a store may fail for a long time. */
  leave(result: Result): void {
    this.#results.delete(result);
  }

  /** Whether this result waits for changes to become safe. */
  awaits(result: Result): boolean {
    return this.#results.has(result);
  }

  /** Puts a transaction into the next commit; while the store fails it waits. */
  transfer(transfer: Transfer): void {
    if (this.#executions?.take(transfer)) return;
    this.#transfers.push(transfer);
    if (!this.busy && !this.#failure) this.#schedule();
  }

  /** Calls `run` when all changes so far are safe. @returns a function that cancels it, as for `enter` */
  whenSafe(run: () => void): Forget | undefined {
    const clean = this.changed.size === 0 && this.#transfers.length === 0;
    if (clean && !this.busy && !this.#failure) return void run();
    const result = (safe: boolean) => safe && run();
    this.#results.add(result);
    if (!this.busy && !this.#failure) this.#schedule();
    return () => void this.#results.delete(result);
  }

  #schedule(): void {
    // A store that writes to disk gathers everything from this turn of the event loop.
    if (this.#store.gathers) return this.#scheduleAtEnd();
    if (this.#isSoon || this.#closed) return;
    this.#isSoon = true;
    this.#clock.soon(this.#soon);
  }

  #scheduleAtEnd(): void {
    if (this.#isAtEnd || this.#closed) return;
    this.#isAtEnd = true;
    this.#clock.endOfTurn(this.#atEnd);
  }

  readonly #soon = (): void => {
    this.#isSoon = false;
    this.#end();
  };

  readonly #atEnd = (): void => {
    this.#isAtEnd = false;
    this.#end();
  };

  readonly #end = (): void => {
    this.#cancelRetry?.(); // a scheduled commit may come first
    this.#cancelRetry = undefined;
    if (!this.#closed && !this.busy) this.#commit();
  };

  #commit(): void {
    const count = this.#transfers.length;
    const refused = count > 0 ? this.#apply(this.#transfers) : NONE;
    const works = this.#applied.length > 0 ? [...this.#applied] : NO_WORKS;
    const group = this.#group = this.#applyGroup();
    if (this.changed.size === 0 && count === 0 && !group) return this.#out();
    let commit;
    try {
      const execution = group && { execution: group.execution! };
      commit = this.#store.commit({ ...execution, works, changes: this.#changes });
    } catch (error) { // from a custom store
      commit = Promise.reject(error);
    }
    this.#underWay = commit.then(
      (also) => this.#committed(count, refused, also),
      (error) => this.#failed(refused, error),
    );
  }

  /** Applies transactions to the records. @returns those that cannot be applied */
  #apply(transfers: readonly Transfer[]): Refused {
    const refused = new Map<Work, unknown>();
    for (const transfer of transfers) {
      try {
        transfer.apply();
        this.#applied.push(transfer);
      } catch (error) {
        refused.set(transfer, error);
      }
    }
    return refused;
  }

  /** Applies the transactions that the store has executed together: all or none. */
  #applyGroup(): Group | undefined {
    for (let group; (group = this.#executions?.next());) {
      const before = this.#applied.length;
      const refused = this.#apply(group.transfers);
      if (refused.size === 0) return group;
      for (const transfer of this.#applied.splice(before).reverse()) transfer.undo();
      this.#executions!.refuse(group, refused);
    }
    return undefined;
  }

  #undo(): void {
    for (const transfer of this.#applied.reverse()) transfer.undo();
    this.#applied.reverse();
  }

  /** Undoes the transactions that the store has refused, and applies the others again without them. */
  readonly #changes = (refused: Refused): Iterable<Change> => {
    if (this.#applied.some((transfer) => refused.has(transfer))) {
      this.#undo();
      this.#applied = this.#applied.filter((transfer) => !refused.has(transfer));
      for (const transfer of this.#applied) transfer.apply();
    }
    // A change that was undone does not count.
    return this.#transfers.length === 0 && !this.#executions
      ? this.changed
      : [...this.changed].filter(({ differs }) => differs);
  };

  /**
   * @param count How many transactions were in the commit.
   * @param refused Those of them that could not be applied.
   * @param also Those of them that the store has refused.
   */
  #committed(count: number, refused: Refused, also: Refused): void {
    for (const ledger of this.changed) ledger.committed();
    this.changed.clear();
    const transfers = this.#transfers.splice(0, count);
    const group = this.#group;
    this.#applied = [];
    this.#group = undefined;
    this.#isStalled = false;
    this.#underWay = undefined;
    this.#out();
    // Only now: their follow-up changes are not safe yet, and must not be let out with what is.
    for (const transfer of transfers) {
      const error = refused.get(transfer) ?? also.get(transfer);
      if (error === undefined) transfer.done();
      else transfer.failed(error);
    }
    if (group) {
      for (const transfer of group.transfers) transfer.done();
      this.#executions!.done(group);
    }
    this.#letIn();
  }

  /** Everything is safe: lets the results out. */
  #out(): void {
    this.#failure = undefined;
    this.#report();
    if (this.#closed) return;
    const results = this.#results;
    if (results.size === 0) return;
    this.#results = new Set();
    const now = this.#clock.now();
    for (const result of results) result(true, now);
  }

  #failed(refused: Refused, error: unknown): void {
    this.#undo();
    const group = this.#group;
    this.#applied = [];
    this.#group = undefined;
    this.#isStalled = false;
    this.#underWay = undefined;
    const ledger = error instanceof FencedError &&
      [...this.changed.values()].find(({ id }) => id === error.device);
    if (group) this.#executions!.again(group, !ledger);
    if (ledger) this.#fence(ledger, error);
    else if (group && !this.#failure) this.#schedule(); // its connection may be lost: commits continue without it
    else this.#fail(asFailure(error));
    const transfers = this.#transfers.filter((transfer) => refused.has(transfer));
    this.#transfers = this.#transfers.filter((transfer) => !refused.has(transfer));
    for (const transfer of transfers) transfer.failed(refused.get(transfer));
    this.#letIn();
  }

  /** Another process has taken a device. Called when records may be changed. */
  lose(error: FencedError): void {
    const ledger = [...this.changed.values()].find(({ id }) => id === error.device);
    this.#fence(ledger, error);
  }

  /** The commit under way may take long: the store may learn its outcome only later. */
  #stall(error: LocalError): void {
    if (!this.busy) return;
    this.#isStalled = true;
    this.#reportFailure(error);
    this.#endWait?.();
  }

  #reportFailure(error: LocalError): void {
    this.#failure = error;
    this.#report();
  }

  #report(): void {
    const failure = this.#failure ?? this.#executions?.failure;
    if ((failure === undefined) === (this.#reported === undefined)) return;
    this.#reported = failure;
    this.#owner.storeFails(failure);
  }

  #fail(error: LocalError): void {
    this.#reportFailure(error);
    if (this.#closed) return;
    this.#cancelRetry = this.#clock.after(RETRY, this.#end);
    const now = this.#clock.now();
    for (const result of this.#results) result(false, now);
  }

  /** Another process has this device now, so its changes are dropped; all other devices continue. */
  #fence(ledger: Ledger | undefined, error: FencedError): void {
    if (ledger) this.changed.delete(ledger);
    const lost = this.#transfers.filter((transfer) => transfer.changes(error.device));
    this.#transfers = this.#transfers.filter((transfer) => !lost.includes(transfer));
    lost.push(...this.#executions?.lose(error.device) ?? []);
    this.#owner.fenced(error);
    for (const transfer of lost) transfer.failed(error);
    this.#schedule();
  }

  #letIn(): void {
    if (this.#isOver) return; // a commit that was not waited for has ended now
    const waiting = this.#waiting;
    if (waiting.size > 0) {
      this.#waiting = new Set();
      for (const change of waiting) this.enter(change);
    }
    const isMore = this.#transfers.length > 0 || this.#executions?.isReady;
    if (isMore && !this.#failure) this.#schedule();
  }

  /**
   * Commits what is left; no results are let out any more. Transactions whose statements are not executed by now
   * fail.
   *
   * @param reason The error for these.
   * @throws {LocalError} from the store, if it fails
   */
  async close(reason = new LocalError("CLOSED", "the server was closed")): Promise<void> {
    this.#closed = true;
    this.#cancelRetry?.();
    this.#executions?.close(reason);
    await this.#ended();
    while (!this.busy) {
      this.#commit();
      await this.#ended();
      const isMore = this.changed.size > 0 || this.#executions?.isReady;
      if (this.#failure || !isMore) break; // otherwise a device was fenced: the others are left
    }
    this.#isOver = true;
    this.#executions?.end();
    for (const transfer of this.#transfers.splice(0)) transfer.failed(this.#failure);
    if (this.#failure) throw this.#failure;
  }

  /** Waits until the commit under way has ended or stalled. */
  #ended(): Promise<void> {
    if (!this.busy || this.#isStalled) return Promise.resolve();
    return new Promise((resolve) => {
      this.#endWait = resolve;
      this.#underWay!.then(resolve);
    });
  }
}
