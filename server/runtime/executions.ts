/**
 * Transactions of applications on a store that executes their statements ahead of the commit (`Store.executeAhead`),
 * while commits continue. So an application that is slow in the database holds up no link.
 *
 * Concurrent transactions are executed as a group, in one transaction of the store, which a commit ends. They change no
 * record before that commit: the records change when it begins, as with every commit, and it checks the tokens of all
 * devices that it changes. If anything goes wrong, the group's transaction is rolled back, and its members are executed
 * again in another one.
 *
 * **Order.** Each transaction has a lane: that of its run or its device. Within a lane none overtakes another. A slow
 * one holds up the others in its group once: from then on its lane is executed alone, until it is fast again. Slow ones
 * never take the last of the `MOST_EXECUTIONS` places, so others continue however many there are. Lanes that fail go to
 * the end, so that those that cannot be executed do not keep the others from it.
 */
import { LocalError } from "../protocol/errors.ts";
import { type Execution, MOST_EXECUTIONS, type Store, type Work } from "../store/store.ts";
import type { Clock } from "../transport/platform.ts";
import type { Transfer } from "./transfer.ts";

/** Delay before a failed execution or commit is tried again, in ms. */
const RETRY = 250;

/** A group counts as slow if it takes longer than `SLOW` plus `SLOW_EACH` for each of its transactions, in ms. */
const SLOW = 200;
const SLOW_EACH = 10;

/** Transactions that share one transaction of the store. */
export interface Group {
  transfers: Transfer[];
  /** Set when it is executed. */
  execution?: Execution;
}

/** The owner, which commits groups. */
export interface ExecutionsOwner {
  /** A group can be committed. */
  ready(): void;
  /** `failure` has begun or ended. */
  looked(): void;
}

export class Executions {
  /** Set while the store executes nothing: the reason. */
  failure: LocalError | undefined;
  readonly #execute: NonNullable<Store["executeAhead"]>;
  readonly #clock: Clock;
  readonly #owner: ExecutionsOwner;
  #waiting: Transfer[] = [];
  /** Groups for which the store has a transaction. */
  readonly #groups = new Set<Group>();
  #ready: Group[] = [];
  /** Lanes that were in a slow group, or in one that could not be executed. */
  readonly #slow = new WeakSet<object>();
  #scheduled = false;
  #cancelRetry: (() => void) | undefined;
  #closed: LocalError | undefined;

  constructor(execute: NonNullable<Store["executeAhead"]>, clock: Clock, owner: ExecutionsOwner) {
    this.#execute = execute;
    this.#clock = clock;
    this.#owner = owner;
  }

  /** Takes a transaction that has statements, or that must wait for one that has. @returns whether it was taken */
  take(transfer: Transfer): boolean {
    const { lane, statements } = transfer;
    if (lane === undefined || (statements.length === 0 && !this.#isBusy(lane))) return false;
    if (this.#closed) transfer.failed(this.#closed);
    else this.#waiting.push(transfer);
    this.#schedule();
    return true;
  }

  #isBusy(lane: object): boolean {
    const isIts = (transfer: Transfer) => transfer.lane === lane;
    return this.#waiting.some(isIts) ||
      [...this.#groups].some((it) => it.transfers.some(isIts));
  }

  /** Everything from one turn of the event loop is in one group. */
  #schedule(): void {
    if (this.#scheduled || this.#cancelRetry || this.#closed) return;
    this.#scheduled = true;
    this.#clock.endOfTurn(() => {
      this.#scheduled = false;
      if (!this.#cancelRetry && !this.#closed) this.#begin();
    });
  }

  #begin(): void {
    for (let group; this.#groups.size < MOST_EXECUTIONS && (group = this.#nextGroup());) {
      const begun = new Set(group.transfers);
      this.#waiting = this.#waiting.filter((it) => !begun.has(it));
      this.#groups.add(group);
      void this.#run(group);
    }
  }

  /**
   * Everything that can be executed now, except for slow lanes: these are executed alone, and never take the last
   * place.
   */
  #nextGroup(): Group | undefined {
    const busy = new Set([...this.#groups].flatMap((it) => it.transfers.map(({ lane }) => lane)));
    const able = this.#waiting.filter((it) => !busy.has(it.lane));
    const fast = able.filter((it) => !this.#slow.has(it.lane!));
    if (fast.length > 0) return { transfers: fast };
    const [first] = able;
    if (!first || this.#groups.size === MOST_EXECUTIONS - 1) return undefined;
    return { transfers: able.filter((it) => it.lane === first.lane) };
  }

  async #run(group: Group): Promise<void> {
    const lanes = group.transfers.map(({ lane }) => lane!);
    const end = this.#clock.now() + SLOW + lanes.length * SLOW_EACH;
    let execution;
    try {
      execution = await this.#execute(group.transfers);
      const isSlow = this.#clock.now() > end;
      for (const lane of lanes) isSlow ? this.#slow.add(lane) : this.#slow.delete(lane);
    } catch (error) {
      for (const lane of lanes) this.#slow.add(lane); // one of them may be the cause
      this.#leaveToLast(group);
      this.#fails(asFailure(error));
      return;
    }
    this.#fails(undefined);
    this.#executed(group, execution);
  }

  #executed(group: Group, execution: Execution): void {
    const { refused } = execution;
    const failed = group.transfers.filter((it) => refused.has(it));
    group.transfers = group.transfers.filter((it) => !refused.has(it));
    const isWhole = execution.works.every((work) => group.transfers.includes(work as Transfer));
    if (isWhole && execution.works.length > 0) {
      // The store may have left some out: they come after those that it has executed.
      const left = group.transfers.filter((it) => !execution.works.includes(it));
      group.transfers = group.transfers.filter((it) => execution.works.includes(it));
      this.#waiting.unshift(...left);
      group.execution = execution;
      this.#ready.push(group);
      this.#owner.ready();
    } else {
      // For example, one of its devices was lost meanwhile.
      execution.giveUp();
      this.#leave(group);
    }
    for (const transfer of failed) transfer.failed(refused.get(transfer));
    this.#schedule();
  }

  /** Whether a group can be committed. */
  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** The group to commit next. Then call `done`, `refuse` or `again`. */
  next(): Group | undefined {
    return this.#ready.shift();
  }

  /** The group is safe. */
  done(group: Group): void {
    this.#groups.delete(group);
    this.#schedule();
  }

  /** Some transactions cannot change the records in their present state: the others are executed again without them. */
  refuse(group: Group, refused: ReadonlyMap<Work, unknown>): void {
    group.execution!.giveUp();
    const failed = group.transfers.filter((it) => refused.has(it));
    group.transfers = group.transfers.filter((it) => !refused.has(it));
    this.#leave(group);
    for (const transfer of failed) transfer.failed(refused.get(transfer));
    this.#schedule();
  }

  /** Its commit has failed: it is executed again. @param pauses Whether to wait first, as the reason may persist */
  again(group: Group, pauses: boolean): void {
    if (pauses) {
      this.#leaveToLast(group);
      this.#rest();
    } else {
      this.#leave(group);
      this.#schedule();
    }
  }

  /** The store has no transaction for the group any more. */
  #leave(group: Group): void {
    this.#groups.delete(group);
    if (this.#closed) { for (const transfer of group.transfers) transfer.failed(this.#closed); }
    else this.#waiting.unshift(...group.transfers);
  }

  /** The same, after a failure: everything else that waits is tried first, unless a lane's order forbids it. */
  #leaveToLast(group: Group): void {
    this.#leave(group);
    const lanes = new Set(group.transfers.map(({ lane }) => lane));
    const { its = [], others = [] } = Object.groupBy(
      this.#waiting,
      ({ lane }) => lanes.has(lane) ? "its" : "others",
    );
    this.#waiting = [...others, ...its];
  }

  /**
   * Another process has a device: groups that would change it must not be committed. @returns the transactions that
   * would change it
   */
  lose(device: string): Transfer[] {
    const lost: Transfer[] = [];
    const isKept = (transfer: Transfer) => !transfer.changes(device) || void lost.push(transfer);
    for (const group of this.#groups) {
      const { length } = group.transfers;
      group.transfers = group.transfers.filter(isKept);
      if (group.transfers.length === length || !group.execution) continue;
      this.#ready = this.#ready.filter((it) => it !== group);
      group.execution.giveUp();
      this.#leave(group);
    }
    this.#waiting = this.#waiting.filter(isKept);
    this.#schedule();
    return lost;
  }

  #fails(failure: LocalError | undefined): void {
    if (this.#closed) return;
    const before = this.failure;
    this.failure = failure;
    if (before !== failure) this.#owner.looked();
    if (failure) this.#rest();
  }

  #rest(): void {
    if (this.#closed) return;
    this.#cancelRetry ??= this.#clock.after(RETRY, () => {
      this.#cancelRetry = undefined;
      this.#begin();
    });
  }

  /** Fails transactions that are not executed; groups that are ready can still be committed. */
  close(reason: LocalError): void {
    this.#closed = reason;
    this.#cancelRetry?.();
    const waiting = this.#waiting.splice(0);
    for (const group of this.#groups) {
      if (group.execution) continue;
      waiting.push(...group.transfers);
      group.transfers = [];
    }
    for (const transfer of waiting) transfer.failed(reason);
  }

  /** Rolls back the groups that are left. */
  end(): void {
    for (let group; (group = this.next());) {
      group.execution!.giveUp();
      this.#leave(group);
    }
  }
}

/** Turns any error of a custom store into a `LocalError`. */
export function asFailure(error: unknown): LocalError {
  if (error instanceof LocalError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new LocalError("STORE_FAILED", `the store has failed: ${message}`, { cause: error });
}
