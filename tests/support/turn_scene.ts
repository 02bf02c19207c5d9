/**
 * A turn of the server on a store that the test controls.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import type { Transfer } from "../../server/runtime/transfer.ts";
import { Turn } from "../../server/runtime/turn.ts";
import { Ledger } from "../../server/store/ledger.ts";
import {
  type Acquired,
  type Batch,
  type Execution,
  type KnownDevice,
  type Store,
  type Work,
} from "../../server/store/store.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Clock } from "../../server/transport/platform.ts";
import { until } from "./wait.ts";

/** A store that records its input, and whose delays and failures the test controls. */
class TellingStore implements Store {
  commits = 0;
  fails: Error | undefined;
  /** Works that it refuses, with the reason. */
  readonly refuses = new Map<Work, unknown>();
  #held: PromiseWithResolvers<void> | undefined;
  /** Reports that the current commit takes long. */
  stall: (error: LocalError) => void = () => {};

  watchStalls(stalled: (error: LocalError) => void): void {
    this.stall = stalled;
  }

  /** @param events Takes the events that the test checks, in order. */
  constructor(readonly events: string[], readonly gathers: boolean) {}

  list(): Promise<KnownDevice[]> {
    return Promise.resolve([]);
  }

  acquire(): Promise<Acquired> {
    return Promise.resolve({ state: undefined, token: 1 });
  }

  /** Commits wait until the result is called. */
  hold(): () => void {
    const held = this.#held = Promise.withResolvers<void>();
    return () => {
      this.#held = undefined;
      held.resolve();
    };
  }

  /** Present only if the test wants it: see `TurnScene`. */
  executeAhead?: (works: readonly Work[]) => Promise<Execution>;
  /** If `isHeld`, executions wait until they are released; then they fail with `fails`, if given. */
  readonly ahead: { held: PromiseWithResolvers<void>[]; isHeld: boolean; fails?: Error } = {
    held: [],
    isHeld: false,
  };

  async execute(works: readonly Work[]): Promise<Execution> {
    this.events.push(`execute ${works.map(String).join(" ")}`);
    const { ahead } = this;
    if (ahead.isHeld) {
      const held = Promise.withResolvers<void>();
      ahead.held.push(held);
      await held.promise;
    }
    if (ahead.fails) throw ahead.fails;
    const refused = new Map([...this.refuses].filter(([work]) => works.includes(work)));
    const executed = works.filter((work) => !refused.has(work));
    const name = executed.map(String).join(" ");
    return {
      works: executed,
      refused,
      giveUp: () => void this.events.push(`give up ${name}`),
    };
  }

  async commit({ execution, works, changes }: Batch): Promise<ReadonlyMap<Work, unknown>> {
    this.events.push(execution ? `commit ${execution.works.map(String).join(" ")}` : "commit");
    await this.#held?.promise;
    if (this.fails) throw this.fails;
    this.commits++;
    const refused = new Map([...this.refuses].filter(([work]) => works.includes(work)));
    for (const { id, state: { inbox, outbox } } of changes(refused)) {
      this.events.push(`${id}: ${[...inbox, "|", ...outbox.map(({ text }) => text)].join(" ")}`);
    }
    return refused;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A turn on such a store, with a device. */
export class TurnScene {
  /** The events so far. */
  readonly events: string[] = [];
  readonly store: TellingStore;
  readonly turn: Turn;
  readonly ledger: Ledger;

  /** @param executesAhead Its store executes statements ahead of their commit. */
  constructor(gathers = true, executesAhead = false, clock: Clock = nodePlatform) {
    const store = this.store = new TellingStore(this.events, gathers);
    if (executesAhead) store.executeAhead = (works) => store.execute(works);
    this.turn = new Turn(this.store, clock, {
      storeFails: (error) => void this.events.push(error ? `failed ${error.code}` : "works"),
      fenced: ({ device }) => void this.events.push(`${device} is fenced`),
    });
    this.ledger = this.device("1");
  }

  device(id: string): Ledger {
    return new Ledger(id, { state: undefined, token: 1 }, this.turn.changed);
  }

  result(name: string): (safe: boolean) => void {
    return (safe) => this.events.push(`${name} ${safe}`);
  }

  /** A message from the device, and a result that waits for it. */
  receive(text: string): void {
    this.ledger.record.receive(text);
    this.turn.touch(this.result(text));
  }

  /** Waits until all changes so far are safe. */
  async settled(): Promise<void> {
    let isSafe = false;
    this.turn.whenSafe(() => isSafe = true);
    await until(() => isSafe, { what: "all changes to be safe" });
  }

  fail(): void {
    this.store.fails = new LocalError("STORE_FAILED", "no room left");
  }

  mend(): void {
    this.store.fails = undefined;
  }

  /** A transaction that writes to the device, or to another one. */
  writing(
    text: string,
    ledger = this.ledger,
    lane?: object,
  ): Transfer & { ended: string | undefined; toString(): string } {
    const { events } = this;
    const { record } = ledger;
    return {
      statements: lane ? [{ sql: text, params: [] }] : [],
      ...(lane && { lane }),
      toString: () => text,
      changes: (device) => device === ledger.id,
      ended: undefined,
      apply: () => void record.write(text, { overtakes: false, qos: true }, 0),
      undo: () => record.unwrite(),
      done() {
        events.push(`${text} is done`);
        this.ended = "done";
      },
      failed(error) {
        this.ended = (error as Error).message;
      },
    };
  }
}

/** Resolves after one round of the event loop. */
export function round(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
