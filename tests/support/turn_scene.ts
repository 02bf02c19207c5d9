/**
 * A turn of the server on a store that a test holds in its hands.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { type Transfer, Turn } from "../../server/runtime/turn.ts";
import { Ledger } from "../../server/store/ledger.ts";
import {
  type Acquired,
  type Batch,
  type KnownDevice,
  type Store,
  type Work,
} from "../../server/store/store.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import { until } from "./wait.ts";

/** A store that says what it is given, takes as long as it is told to, and fails when it is told to. */
class TellingStore implements Store {
  commits = 0;
  fails: Error | undefined;
  /** Works that it refuses, with the reason. */
  readonly refuses = new Map<Work, unknown>();
  #held: PromiseWithResolvers<void> | undefined;
  /** Says that the commit under way takes long. */
  stall: (error: LocalError) => void = () => {};

  watchStalls(stalled: (error: LocalError) => void): void {
    this.stall = stalled;
  }

  /** @param events What the test wants to see in order. */
  constructor(readonly events: string[], readonly gathers: boolean) {}

  list(): Promise<KnownDevice[]> {
    return Promise.resolve([]);
  }

  acquire(): Promise<Acquired> {
    return Promise.resolve({ state: undefined, token: 1 });
  }

  /** Commits take until the result is called. */
  hold(): () => void {
    const held = this.#held = Promise.withResolvers<void>();
    return () => {
      this.#held = undefined;
      held.resolve();
    };
  }

  async commit({ works, changes }: Batch): Promise<ReadonlyMap<Work, unknown>> {
    this.events.push("commit");
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
  /** What has happened. */
  readonly events: string[] = [];
  readonly store: TellingStore;
  readonly turn: Turn;
  readonly ledger: Ledger;

  constructor(gathers = true) {
    this.store = new TellingStore(this.events, gathers);
    this.turn = new Turn(this.store, nodePlatform, {
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

  /** All changes so far are safe. */
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
  writing(text: string, ledger = this.ledger): Transfer & { ended: string | undefined } {
    const { events } = this;
    const { record } = ledger;
    return {
      statements: [],
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

/** The event loop has gone round. */
export function round(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
