/** What the parts of a `PostgresStore` share. */
export interface StoreHost {
  /** The process's number in the database, once something is connected. */
  readonly process: number;
  /** `now` on the process's clock, `offset` from that to the database's; in ms. */
  readonly time: { readonly now: number; readonly offset: number };
  /** Whether the store was closed. */
  readonly isClosed: boolean;
  /** Numbers of devices in the database that were already looked up. */
  readonly devices: Map<string, number>;
}
