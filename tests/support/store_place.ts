/**
 * Where a test keeps a store.
 *
 * @module
 */
import type { KnownDevice, Store } from "../../server/store/store.ts";
import { StoreDriver } from "./store_driver.ts";

/** A place where stores can be opened one after the other. */
export interface StorePlace {
  /** Opens the store, with everything that the last one had committed. */
  open(): Store;
  /** Makes the commits of a store fail with STORE_FAILED until the returned function is called. */
  breaks?(store: Store): () => void;
  /** It keeps live states, so it also has uncommitted changes. */
  isLive?: boolean;
  /** Removes everything; all stores are closed. */
  remove?(): void;
}

/** Opens and reopens the store of a place, for a test. */
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

  /** The devices that the store knows, in a fixed order. */
  async list(): Promise<KnownDevice[]> {
    return (await this.store.list()).toSorted((a, b) => a.id < b.id ? -1 : 1);
  }
}
