/**
 * Where a test keeps a store.
 *
 * @module
 */
import type { KnownDevice, Store } from "../../server/store/store.ts";
import { StoreDriver } from "./store_driver.ts";

/** A place where stores can be opened one after the other. */
export interface StorePlace {
  /** Opens the store, which has what the last one had committed before it was closed. */
  open(): Store;
  /** Makes the commits of a store fail with STORE_FAILED, until what it returns is called. */
  breaks?(store: Store): () => void;
  /** It keeps live states, so it has what was not committed as well. */
  isLive?: boolean;
  /** Removes everything; all stores are closed. */
  remove?(): void;
}

/** A test's access to a place. */
export class StoreRig {
  store: Store;

  constructor(readonly place: StorePlace) {
    this.store = place.open();
  }

  driver(): Promise<StoreDriver> {
    return StoreDriver.on(this.store);
  }

  /** Closes the store, and opens it again. */
  async reopened(): Promise<StoreDriver> {
    await this.store.close();
    this.store = this.place.open();
    return await this.driver();
  }

  /** What the store knows, in a fixed order. */
  async list(): Promise<KnownDevice[]> {
    return (await this.store.list()).toSorted((a, b) => a.id < b.id ? -1 : 1);
  }
}
