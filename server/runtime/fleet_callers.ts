/**
 * Devices that greet a process of a fleet. The store's record is read for each greeting, as another process may
 * have changed it. Only a confirmed greeting takes the device from the process that has it.
 */
import { DeviceRecord, NOWHERE } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Look } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { DeviceState } from "../store/store.ts";
import type { Forget } from "./turn.ts";

/** What `FleetCallers` needs from the server. */
export interface FleetCallersHost {
  /** The ledger of a device in memory. */
  here(id: string): Ledger | undefined;
  look(id: string, token: number | undefined): Promise<Look>;
  /**
   * Takes a device into memory, unless it is there already.
   *
   * @param fresh Its state if it is new; undefined: the store knew it when it greeted.
   * @returns the ledger of a device that the store does not know, which is not in memory yet
   */
  take(id: string, fresh: DeviceState | undefined): Promise<Ledger | undefined>;
  /** Another process has a device of this one. */
  lost(ledger: Ledger): void;
}

type Failed = (error: unknown) => void;

export class FleetCallers {
  readonly #host: FleetCallersHost;
  readonly #most: number;
  #asked = 0;
  /** Devices that the store does not know, while a greeting needs them. */
  readonly #new = new Map<string, Ledger>();
  /** By record that another process or none had: the counted look that read it. */
  readonly #counted = new WeakMap<DeviceRecord, Look>();

  /** @param most Most reads that wait for the store at a time: if it does not answer, greetings come and go. */
  constructor(host: FleetCallersHost, most: number) {
    this.#host = host;
    this.#most = most;
  }

  /**
   * Asks for the present record of a device. The answer never comes before this returns.
   *
   * @returns a function to call when the answer is no longer needed
   */
  ask(id: string, told: (record: DeviceRecord) => void, failed: Failed): Forget {
    const own = this.#host.here(id);
    return this.#await(() => this.#host.look(id, own?.token), (look, isNeeded) => {
      const isHere = own !== undefined && this.#host.here(id) === own;
      if (isHere && !look.isOurs) this.#host.lost(own);
      if (!isNeeded()) return;
      if (!look.isOurs) {
        const record = new DeviceRecord(id, NOWHERE, look.state);
        this.#counted.set(record, look);
        told(record);
      } else if (isHere) {
        own.looked(look.looks);
        told(own.record);
      } else failed(new LocalError("FENCED", "another process has just taken it"));
    }, failed);
  }

  /**
   * Takes a device whose greeting was confirmed, unless it is in memory.
   *
   * @param known The record that the greeting used.
   * @returns as `ask`, also for when the device is no longer needed
   */
  take(id: string, known: DeviceRecord, told: () => void, failed: Failed): Forget {
    const look = this.#counted.get(known);
    const looks = look?.looks ?? 0;
    const device = this.#host.here(id);
    if (device) {
      device.lookedItself(looks); // it was adopted while the record was being read
      told();
      return () => {};
    }
    const fresh = look && !look.state ? known.state : undefined;
    const forget = this.#await(() => this.#host.take(id, fresh), (ledger, isNeeded) => {
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

  /** The ledger of a device that was taken, and that the store does not know. */
  ledger(id: string): Ledger | undefined {
    return this.#new.get(id);
  }
}
