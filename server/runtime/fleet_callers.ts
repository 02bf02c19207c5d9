/**
 * Devices that greet a process of a fleet. The store's record is looked at for each greeting, as another process
 * may have changed it since. Only a confirmed greeting takes the device from the process that has it.
 */
import { DeviceRecord, NOWHERE } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Look } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { DeviceState } from "../store/store.ts";
import type { Forget } from "./turn.ts";

/** What it needs of the server. */
export interface FleetCallersHost {
  /** Of a device that is here. */
  here(id: string): Ledger | undefined;
  look(id: string, token: number | undefined): Promise<Look>;
  /**
   * Takes a device, and it is here from now on; nothing to do if it is here already.
   *
   * @param fresh What it is if the store does not know it.
   * @returns the ledger of one that the store does not know: it is not here yet
   */
  take(id: string, fresh: DeviceState): Promise<Ledger | undefined>;
  /** A device that is here is another process's. */
  lost(ledger: Ledger): void;
}

type Failed = (error: unknown) => void;

export class FleetCallers {
  readonly #host: FleetCallersHost;
  readonly #most: number;
  #asked = 0;
  /** Devices that the store does not know, as long as a greeting needs them. */
  readonly #new = new Map<string, Ledger>();
  /** Of records that were another process's or nobody's: the look that brought them, which was counted. */
  readonly #counted = new WeakMap<DeviceRecord, number>();

  /** @param most Answers of the store that are waited for at a time: where it does not answer, those who ask come and go. */
  constructor(host: FleetCallersHost, most: number) {
    this.#host = host;
    this.#most = most;
  }

  /**
   * Asks for the record of a device, as it is now. The answer does not come before this returns.
   *
   * @returns to be called when the answer is no longer needed
   */
  ask(id: string, told: (record: DeviceRecord) => void, failed: Failed): Forget {
    const own = this.#host.here(id);
    return this.#await(() => this.#host.look(id, own?.token), (look, isNeeded) => {
      const isHere = own !== undefined && this.#host.here(id) === own;
      if (isHere && !look.isOurs) this.#host.lost(own);
      if (!isNeeded()) return;
      if (!look.isOurs) {
        const record = new DeviceRecord(id, NOWHERE, look.state);
        this.#counted.set(record, look.looks);
        told(record);
      } else if (isHere) {
        own.looked(look.looks);
        told(own.record);
      } else failed(new LocalError("FENCED", "another process has taken it just now"));
    }, failed);
  }

  /**
   * Takes a device whose greeting was confirmed, unless it is here.
   *
   * @param known The record that the greeting went by.
   * @returns as `ask`; or when the device is no longer needed
   */
  take(id: string, known: DeviceRecord, told: () => void, failed: Failed): Forget {
    const looks = this.#counted.get(known) ?? 0;
    const device = this.#host.here(id);
    if (device) {
      device.lookedItself(looks); // it was adopted while the store was asked for the record
      told();
      return () => {};
    }
    const forget = this.#await(() => this.#host.take(id, known.state), (ledger, isNeeded) => {
      this.#host.here(id)?.lookedItself(looks);
      if (!isNeeded()) return;
      if (ledger) this.#new.set(id, ledger);
      told();
    }, failed);
    return () => {
      forget();
      this.#new.delete(id);
    };
  }

  #await<T>(
    ask: () => Promise<T>,
    told: (answer: T, isNeeded: () => boolean) => void,
    failed: Failed,
  ): Forget {
    let isNeeded = true;
    const fail = (error: unknown) => isNeeded && failed(error);
    if (this.#asked >= this.#most) {
      const message = `the store does not answer: ${this.#most} devices wait for it`;
      queueMicrotask(() => fail(new LocalError("STORE_FAILED", message)));
    } else {
      this.#asked++;
      ask().then(
        (answer) => {
          this.#asked--;
          told(answer, () => isNeeded);
        },
        (error) => {
          this.#asked--;
          fail(error);
        },
      );
    }
    return () => void (isNeeded = false);
  }

  /** Of a device that was taken, and that the store does not know. */
  ledger(id: string): Ledger | undefined {
    return this.#new.get(id);
  }
}
