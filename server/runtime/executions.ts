/**
 * Transactions of applications on a store that executes their statements ahead of the commit (`Store.executeAhead`), while
 * commits go on. So an application that takes its time in the database holds up no link.
 *
 * What is there at a time is executed as a group, in one transaction of the store, which a commit ends. Nothing of it
 * has changed a record before that commit: the records change when it begins, as with every commit, and it checks the
 * tokens of all devices that it changes. Whatever goes wrong, the group's transaction is undone, and its members are
 * executed again in another one.
 *
 * **Order.** Each transaction has a lane: that of the run, or of the device, that it belongs to. In one lane none
 * overtakes another. One that is slow holds up those that happen to be in its group, once: from then on what is in its
 * lane is executed alone, until it is fast. Slow ones never take the last of the `MOST_EXECUTIONS` places, so others go
 * on however many there are.
 */
import { LocalError } from "../protocol/errors.ts";
import { type Execution, MOST_EXECUTIONS, type Store, type Work } from "../store/store.ts";
import type { Clock } from "../transport/platform.ts";
import type { Transfer } from "./transfer.ts";

/** Before what the store could not execute, or commit, is tried again, in ms. */
const RETRY = 250;

/** What takes longer than this, and so much more for each transaction, holds up others in its group: in ms. */
const SLOW = 200;
const SLOW_EACH = 10;

/** Transactions that are in one transaction of the store. */
export interface Group {
  transfers: Transfer[];
  /** As soon as it is executed. */
  execution?: Execution;
}

/** Who commits them. */
export interface ExecutionsOwner {
  /** A group can be committed. */
  ready(): void;
  /** `failure` has begun or ended. */
  looked(): void;
}

export class Executions {
  /** Why the store executes nothing at present. */
  failure: LocalError | undefined;
  readonly #execute: NonNullable<Store["executeAhead"]>;
  readonly #clock: Clock;
  readonly #owner: ExecutionsOwner;
  #waiting: Transfer[] = [];
  /** Each as long as the store has a transaction for it. */
  readonly #groups = new Set<Group>();
  #ready: Group[] = [];
  /** Lanes that were in a group which has taken long, or could not be executed. */
  readonly #slow = new WeakSet<object>();
  #scheduled = false;
  #cancelRetry: (() => void) | undefined;
  #closed: LocalError | undefined;

  constructor(execute: NonNullable<Store["executeAhead"]>, clock: Clock, owner: ExecutionsOwner) {
    this.#execute = execute;
    this.#clock = clock;
    this.#owner = owner;
  }

  /** Takes a transaction that has statements, or that must wait for one which has. @returns whether it does */
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

  /** All that this turn of the event loop brings is in one group. */
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

  /** All that can be executed now, but for what may take long: that is executed alone, and never takes the last place. */
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
      for (const lane of lanes) this.#slow.add(lane); // it is the fault of one of them, perhaps
      this.#leave(group);
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
      // The store has left some out, perhaps: they come behind those that it has not.
      const left = group.transfers.filter((it) => !execution.works.includes(it));
      group.transfers = group.transfers.filter((it) => execution.works.includes(it));
      this.#waiting.unshift(...left);
      group.execution = execution;
      this.#ready.push(group);
      this.#owner.ready();
    } else {
      // A device of it was lost meanwhile, for example.
      execution.giveUp();
      this.#leave(group);
    }
    for (const transfer of failed) transfer.failed(refused.get(transfer));
    this.#schedule();
  }

  /** Whether something can be committed. */
  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** What is to be committed next. Its end is to be told: `done`, `refuse` or `again`. */
  next(): Group | undefined {
    return this.#ready.shift();
  }

  /** It is safe. */
  done(group: Group): void {
    this.#groups.delete(group);
    this.#schedule();
  }

  /** Some of it cannot change the records, as they are by now: the others are executed without them. */
  refuse(group: Group, refused: ReadonlyMap<Work, unknown>): void {
    group.execution!.giveUp();
    const failed = group.transfers.filter((it) => refused.has(it));
    group.transfers = group.transfers.filter((it) => !refused.has(it));
    this.#leave(group);
    for (const transfer of failed) transfer.failed(refused.get(transfer));
    this.#schedule();
  }

  /** Its commit has failed: it is executed again. @param pauses The reason may still be there */
  again(group: Group, pauses: boolean): void {
    this.#leave(group);
    if (pauses) this.#rest();
    else this.#schedule();
  }

  /** The store has no transaction for it any more. */
  #leave(group: Group): void {
    this.#groups.delete(group);
    if (this.#closed) { for (const transfer of group.transfers) transfer.failed(this.#closed); }
    else this.#waiting.unshift(...group.transfers);
  }

  /** Somebody else has a device: none of these may be committed any more. @returns those that would change it */
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

  /** Whoever is not ready is told; what is can still be committed. */
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

  /** Nothing is committed any more. */
  end(): void {
    for (let group; (group = this.next());) {
      group.execution!.giveUp();
      this.#leave(group);
    }
  }
}

/** Whatever a store of somebody's own fails with. */
export function asFailure(error: unknown): LocalError {
  if (error instanceof LocalError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new LocalError("STORE_FAILED", `the store has failed: ${message}`, { cause: error });
}
