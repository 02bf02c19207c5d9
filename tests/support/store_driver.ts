/**
 * The server's use of a store, for tests of stores: it acquires devices, changes them, and commits.
 *
 * @module
 */
import { type DeviceRecord, type DeviceState, newState } from "../../server/link/record.ts";
import { Ledger } from "../../server/store/ledger.ts";
import type { Change, Execution, Statement, Store, Work } from "../../server/store/store.ts";

/** A transaction's changes in memory, and how to undo them. */
interface Effect {
  apply(): void;
  undo(): void;
}

/** A state that can be compared: a copy, in which undefined fields are present. */
export function plain({ positions, sent, inbox, outbox, heard, deadLetters, memos }: DeviceState) {
  return structuredClone({
    positions,
    sent,
    inbox,
    outbox: outbox.map((message) => ({ ...message, id: message.id, expires: message.expires })),
    heard: [...heard].sort(([a], [b]) => a - b),
    deadLetters: deadLetters ?? [],
    memos: new Map([...memos ?? []].sort(([a], [b]) => a < b ? -1 : 1)),
  });
}

export class StoreDriver {
  readonly ledgers = new Map<string, Ledger>();
  readonly changed = new Set<Ledger>();
  #works: (Work & Effect)[] = [];

  private constructor(readonly store: Store) {}

  /** Acquires all devices that the store knows. */
  static async on(store: Store): Promise<StoreDriver> {
    const driver = new StoreDriver(store);
    for (const { id } of await store.list()) await driver.acquire(id);
    return driver;
  }

  /** @param fresh Its state if the store does not know it. */
  async acquire(id: string, fresh?: DeviceState): Promise<DeviceRecord> {
    const ledger = new Ledger(id, await this.store.acquire(id), this.changed, fresh);
    this.ledgers.set(id, ledger);
    return ledger.record;
  }

  record(id: string): DeviceRecord {
    return this.ledgers.get(id)!.record;
  }

  /** A device with given first numbers, without a random part. */
  async begin(id: string, sent = 0, txEpoch = 7): Promise<DeviceRecord> {
    return await this.acquire(id, newState(sent, { txEpoch }));
  }

  /** All states, by id. */
  states() {
    return Object.fromEntries(
      Array.from(this.ledgers, ([id, { state }]) => [id, plain(state)]).toSorted(),
    );
  }

  /** Adds a transaction to the next commit. */
  transact(statements: Statement[], ...effects: Effect[]): Work {
    const work = {
      statements,
      apply: () => effects.forEach((effect) => effect.apply()),
      undo: () => effects.toReversed().forEach((effect) => effect.undo()),
    };
    this.#works.push(work);
    return work;
  }

  /** Adds a transaction that processes the oldest message of a device. */
  consume(id: string, ...sql: string[]): Work {
    return this.transact(sql.map((sql) => ({ sql, params: [] })), this.processing(id));
  }

  processing(id: string): Effect {
    const record = this.record(id);
    let text: string;
    return { apply: () => text = record.process(), undo: () => record.unprocess(text) };
  }

  writing(id: string, text: string): Effect {
    const record = this.record(id);
    return {
      apply: () => record.write(text, { overtakes: false, qos: true }, 0),
      undo: () => record.unwrite(),
    };
  }

  noting(id: string, key: string, text: string | undefined): Effect {
    const record = this.record(id);
    let before: string | undefined;
    return {
      apply() {
        before = record.memos.get(key);
        record.setMemo(key, text);
      },
      undo: () => record.setMemo(key, before),
    };
  }

  /** Commits all changes and transactions. If that fails, they wait for the next time. */
  async commit(): Promise<ReadonlyMap<Work, unknown>> {
    if (!this.store.executeAhead || this.#works.length === 0) {
      return await this.#commit(this.#works);
    }
    // As in the server: works that cannot be executed together get a commit of their own.
    const refused = new Map<Work, unknown>();
    while (this.#works.length > 0) {
      const execution = await this.store.executeAhead(this.#works);
      for (const [work, error] of execution.refused) refused.set(work, error);
      const isExecuted = new Set(execution.works);
      const works = this.#works.filter((work) => isExecuted.has(work));
      if (works.length > 0) await this.#commit(works, execution);
      else execution.giveUp();
      this.#works = this.#works.filter((work) => !refused.has(work));
    }
    if (this.changed.size > 0) await this.#commit([]); // all works were refused
    return refused;
  }

  /** @param execution The execution of the works, if they were executed ahead. */
  async #commit(
    works: readonly (Work & Effect)[],
    execution?: Execution,
  ): Promise<ReadonlyMap<Work, unknown>> {
    let applied = works;
    for (const work of applied) work.apply();
    const undo = () => applied.toReversed().forEach((work) => work.undo());
    let refused: ReadonlyMap<Work, unknown>;
    try {
      refused = await this.store.commit({
        ...execution && { execution },
        works: execution ? [] : works,
        changes: (refused) => {
          undo();
          applied = works.filter((work) => !refused.has(work));
          for (const work of applied) work.apply();
          return this.#changes();
        },
      });
    } catch (error) {
      undo();
      throw error;
    }
    this.#works = this.#works.filter((work) => !works.includes(work));
    for (const ledger of this.changed) ledger.committed();
    this.changed.clear();
    return refused;
  }

  *#changes(): Iterable<Change> {
    for (const ledger of this.changed) if (ledger.differs) yield ledger;
  }
}
