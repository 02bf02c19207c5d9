/**
 * A slow store.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { MemoryStore } from "../../server/store/memory.ts";
import type { Acquired, Batch } from "../../server/store/store.ts";

export class SlowStore extends MemoryStore {
  /** Devices that were requested. */
  readonly asked: string[] = [];
  /** The error of requests for a device. */
  fails: Error | undefined;
  /** Whether it can commit. */
  works = true;
  #held: Promise<void> | undefined;

  /** Everything waits until the result is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return () => {
      this.#held = undefined;
      resolve();
    };
  }

  override async acquire(id: string): Promise<Acquired> {
    this.asked.push(id);
    await this.#held;
    if (this.fails) throw this.fails;
    return super.acquire(id);
  }

  override async commit(batch: Batch) {
    await this.#held;
    if (!this.works) throw new LocalError("STORE_FAILED", "no room left");
    return await super.commit(batch);
  }
}
