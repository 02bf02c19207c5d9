/** What the parts of a `PostgresStore` know of each other. */
export interface StoreHost {
  /** The process's number in the database, once something is connected. */
  readonly process: number;
  /** `now` on the process's clock, `offset` from that to the database's; in ms. */
  readonly time: { readonly now: number; readonly offset: number };
  /** Whether the store was closed. */
  readonly isClosed: boolean;
  /** Numbers of devices that the database knows, as far as they were asked for. */
  readonly devices: Map<string, number>;
}
