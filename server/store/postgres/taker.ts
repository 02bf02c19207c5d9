/** Takes charge of devices; all that are requested at the same time take one round trip. */
import type { Acquired } from "../store.ts";
import type { StoreHost } from "./host.ts";
import type { Line } from "./line.ts";
import { take, toAcquired } from "./loading.ts";

/** Most devices of one round trip. */
const MOST = 500;

/** A caller that waits for a device. */
interface Asker {
  readonly id: string;
  told(acquired: Acquired): void;
  failed(error: unknown): void;
}

export class Taker {
  readonly #host: StoreHost;
  readonly #line: Line;
  #askers: Asker[] = [];
  #underWay = false;

  constructor(host: StoreHost, line: Line) {
    this.#host = host;
    this.#line = line;
  }

  /** @throws {LocalError} STORE_UNUSABLE: its rows are damaged @throws {Error} from the database or the connection */
  take(id: string): Promise<Acquired> {
    return new Promise((told, failed) => {
      this.#askers.push({ id, told, failed });
      if (!this.#underWay) this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#underWay = true;
    await null; // requests of this turn are included
    while (this.#askers.length > 0) {
      const askers = this.#next();
      try {
        await this.#takeAll(askers);
      } catch (error) {
        for (const { failed } of askers) failed(error);
      }
    }
    this.#underWay = false;
  }

  /** The next requests, each for another device: a second one for the same device takes it from the first. */
  #next(): Asker[] {
    const chosen = new Map<string, Asker>();
    const left: Asker[] = [];
    for (const asker of this.#askers) {
      if (chosen.size < MOST && !chosen.has(asker.id)) chosen.set(asker.id, asker);
      else left.push(asker);
    }
    this.#askers = left;
    return [...chosen.values()];
  }

  async #takeAll(askers: readonly Asker[]): Promise<void> {
    const wire = await this.#line.wire();
    const { process, time, devices } = this.#host;
    const ids = askers.map(({ id }) => id);
    const { known, tokens } = await take(wire, { ids, process, how: "take" }, time);
    const found = new Map(known.map((it) => [it.id, it]));
    for (const [i, { id, told, failed }] of askers.entries()) {
      const it = found.get(id);
      if (!it) {
        devices.delete(id);
        told({ state: undefined, token: tokens[i]! });
        continue;
      }
      devices.set(id, it.device);
      try {
        told(toAcquired(it));
      } catch (error) {
        failed(error);
      }
    }
  }
}
