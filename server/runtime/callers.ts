import type { DeviceRecord } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Forget } from "./turn.ts";

/** A greeting that needs a device's record. */
interface Asker {
  told(record: DeviceRecord): void;
  failed(error: unknown): void;
}

/** A device that is not in memory, while a connection greets in its name. */
interface Caller {
  askers: Set<Asker>;
  /** Undefined until the store has answered. */
  ledger: Ledger | undefined;
}

/** Keeps the stored records of devices that are not in memory while they greet. */
export class Callers {
  #callers = new Map<string, Caller>();
  readonly #acquire: (id: string) => Promise<Ledger>;
  readonly #most: number;

  /**
   * @param acquire Reads a device from the store.
   * @param most Most devices at a time: if the store does not answer, greetings come and go.
   */
  constructor(acquire: (id: string) => Promise<Ledger>, most: number) {
    this.#acquire = acquire;
    this.#most = most;
  }

  /** Number of devices that are kept at present. */
  get size(): number {
    return this.#callers.size;
  }

  /**
   * Asks for the record of a device. Concurrent requests get the same answer. The answer never comes before this
   * returns.
   *
   * @returns a function to call when the record, or the answer, is no longer needed
   */
  ask(id: string, told: Asker["told"], failed: Asker["failed"]): Forget {
    const asker = { told, failed };
    let caller = this.#callers.get(id);
    if (!caller) {
      if (this.#callers.size >= this.#most) {
        const message = `the store does not answer: ${this.#most} devices wait for it`;
        queueMicrotask(() => failed(new LocalError("STORE_FAILED", message)));
        return () => {};
      }
      caller = this.#call(id);
    }
    caller.askers.add(asker);
    const { askers, ledger } = caller;
    if (ledger) queueMicrotask(() => askers.has(asker) && told(ledger.record));
    return () => this.#release(id, caller, asker);
  }

  #call(id: string): Caller {
    const caller: Caller = { askers: new Set(), ledger: undefined };
    this.#callers.set(id, caller);
    this.#acquire(id).then(
      (ledger) => {
        caller.ledger = ledger;
        for (const asker of [...caller.askers]) asker.told(ledger.record);
        this.#forgetIfUnused(id, caller);
      },
      (error) => {
        if (this.#callers.get(id) === caller) this.#callers.delete(id);
        for (const asker of [...caller.askers]) asker.failed(error);
      },
    );
    return caller;
  }

  #release(id: string, caller: Caller, asker: Asker): void {
    caller.askers.delete(asker);
    // Requests before the store has answered wait for the same answer: asked twice, the store would answer
    // twice, and the earlier answer would be fenced.
    if (caller.ledger) this.#forgetIfUnused(id, caller);
  }

  #forgetIfUnused(id: string, caller: Caller): void {
    if (caller.askers.size === 0 && this.#callers.get(id) === caller) this.#callers.delete(id);
  }

  /** The ledger of a device whose record was asked for, and is still needed. */
  ledger(id: string): Ledger {
    return this.#callers.get(id)!.ledger!;
  }

  /** The store's record of a device has changed. No greeting in its name is under way. */
  drop(id: string): void {
    this.#callers.delete(id);
  }
}
