import type { DeviceRecord } from "../link/record.ts";
import type { Ledger } from "../store/ledger.ts";

/** A device that is not here, as long as a connection greets in its name. */
interface Caller {
  greetings: number;
  acquired: Promise<Ledger>;
  ledger: Ledger | undefined;
}

/** Keeps what the store has of devices that greet and are not here, as long as they do. */
export class Callers {
  #callers = new Map<string, Caller>();
  readonly #acquire: (id: string) => Promise<Ledger>;

  /** @param acquire Asks the store. */
  constructor(acquire: (id: string) => Promise<Ledger>) {
    this.#acquire = acquire;
  }

  /** The record of a device. Whoever asks meanwhile is given the same. */
  async ask(id: string): Promise<DeviceRecord> {
    let caller = this.#callers.get(id);
    if (!caller) {
      caller = { greetings: 0, acquired: this.#acquire(id), ledger: undefined };
      this.#callers.set(id, caller);
    }
    caller.greetings++;
    return (caller.ledger = await caller.acquired).record;
  }

  /** Of a device whose record was asked for, and not released. */
  ledger(id: string): Ledger {
    return this.#callers.get(id)!.ledger!;
  }

  /** What the store has of a device is another thing now. Nobody greets in its name. */
  drop(id: string): void {
    this.#callers.delete(id);
  }

  /** Who has asked needs it no longer. */
  release(id: string): void {
    const caller = this.#callers.get(id);
    if (!caller || --caller.greetings > 0) return;
    // Who comes before the store has answered waits for the same answer: asked twice, it would answer twice, and
    // whoever had the earlier answer would be fenced out.
    const forget = () => {
      if (caller.greetings === 0 && this.#callers.get(id) === caller) this.#callers.delete(id);
    };
    caller.acquired.then(forget, forget);
  }
}
