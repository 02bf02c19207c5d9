/**
 * Records without a store: changes are safe when the test says so.
 *
 * @module
 */
import type { DeviceRecord, DeviceState } from "../../server/link/record.ts";
import { Ledger } from "../../server/store/ledger.ts";

export class Records {
  readonly #changed = new Set<Ledger>();
  readonly #ledgers = new Map<string, Ledger>();
  readonly #strangers = new Map<string, Ledger>();

  /** How many devices there are. */
  get size(): number {
    return this.#ledgers.size;
  }

  get(id: string): DeviceRecord | undefined {
    return this.#ledgers.get(id)?.record;
  }

  /** @param state What is already known about the device. */
  create(id: string, state?: DeviceState): DeviceRecord {
    const ledger = this.#strangers.get(id) ?? new Ledger(id, { state, token: 1 }, this.#changed);
    this.#ledgers.set(id, ledger);
    return ledger.record;
  }

  /** The record of a device that greets; the device exists only once `create` was called. */
  ask(id: string): DeviceRecord {
    const ledger = new Ledger(id, { state: undefined, token: 1 }, this.#changed);
    this.#strangers.set(id, ledger);
    return ledger.record;
  }

  /** Makes all changes safe. */
  commit(): void {
    for (const ledger of this.#changed) ledger.committed();
    this.#changed.clear();
  }
}
