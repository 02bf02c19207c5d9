import { LocalError } from "../protocol/errors.ts";
import type { Store } from "../store/store.ts";

/** Between two attempts to commit to a store that fails, in ms. */
const RETRY = 250;

/**
 * What one turn of the event loop changes becomes safe in one transaction; then, and only then, its
 * results come out: acks and messages go to the sockets, messages to the applications.
 */
export class Turn {
  #results = new Set<(safe: boolean) => void>();
  #scheduled = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failure: LocalError | undefined;
  #closed = false;

  /** @param failed Told when the store begins to fail, and with undefined when it works again. */
  constructor(
    readonly store: Store,
    readonly failed: (error: LocalError | undefined) => void,
  ) {}

  /** Why the store cannot take anything at present. */
  get failure(): LocalError | undefined {
    return this.#failure;
  }

  /**
   * Something has changed; `result(true)` is called after it is safe, once however often it is given.
   * While the store fails, `result(false)` is called at once as well.
   */
  touch(result: (safe: boolean) => void): void {
    this.#results.add(result);
    if (this.#failure) return result(false);
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    // A store that writes to disk gathers all that this turn of the event loop brings.
    if (this.store.gathers) setImmediate(this.#end);
    else queueMicrotask(this.#end);
  }

  /** Resolves when all changes so far are safe. */
  settled(): Promise<void> {
    return new Promise((resolve) => this.touch((safe) => safe && resolve()));
  }

  #end = (): void => {
    if (this.#closed) return;
    this.#scheduled = false;
    try {
      this.store.commit();
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      if (!this.#failure) this.failed(error);
      this.#failure = error;
      this.#timer = setTimeout(this.#end, RETRY);
      for (const result of this.#results) result(false);
      return;
    }
    if (this.#failure) this.failed(this.#failure = undefined);
    const results = this.#results;
    this.#results = new Set();
    for (const result of results) result(true);
  };

  /** Commits what is left; nothing comes out any more. @throws {LocalError} STORE_FAILED */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.store.commit();
  }
}
