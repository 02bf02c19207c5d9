/** Reads devices of other processes from the store: all concurrent requests are one query. */
import { LocalError } from "../protocol/errors.ts";
import type { Fleet, Kept } from "../store/fleet.ts";

/** Most devices of one query. */
const MOST = 500;

/** Most requests that wait for a store that does not answer; more are refused. */
const MOST_WAITING = 10_000;

interface Asker {
  readonly id: string;
  told(kept: Kept | undefined): void;
  failed(error: unknown): void;
}

export class DistantReads {
  readonly #fleet: Fleet;
  #askers: Asker[] = [];
  #isAsking = false;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /** @returns undefined: the store does not know the device @throws {LocalError} STORE_FAILED */
  read(id: string): Promise<Kept | undefined> {
    if (this.#askers.length >= MOST_WAITING) {
      const message = `the store does not answer: ${MOST_WAITING} callers wait for it`;
      return Promise.reject(new LocalError("STORE_FAILED", message));
    }
    return new Promise((told, failed) => {
      this.#askers.push({ id, told, failed });
      if (!this.#isAsking) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isAsking = true;
    await null; // requests of this turn are included
    while (this.#askers.length > 0) {
      const askers = this.#askers.splice(0, MOST);
      try {
        const all = await this.#fleet.read([...new Set(askers.map(({ id }) => id))]);
        for (const { id, told } of askers) told(all.get(id));
      } catch (error) {
        for (const { failed } of askers) failed(error);
      }
    }
    this.#isAsking = false;
  }
}
