import { PeerError } from "../../server/protocol/errors.ts";
import type { ConnectOptions, Platform } from "../../server/transport/platform.ts";
import { isIP } from "node:net";

interface Entry {
  address: ConnectOptions;
  /** Forgets the lookup that is under way. */
  forget?: (() => void) | undefined;
}

/** Where a server is sought: its names and addresses in turn, and what the names were found to mean. */
export class Addresses {
  readonly #platform: Platform;
  readonly #entries: Entry[];
  #at = 0;

  constructor(addresses: ConnectOptions[], platform: Platform) {
    this.#platform = platform;
    this.#entries = addresses.map((address) => {
      const { hostname } = address;
      return { address: isIP(hostname) ? { ...address, addresses: [hostname] } : address };
    });
  }

  /** Whose turn it is. Without `addresses` the name must be looked up first. */
  get current(): ConnectOptions {
    return this.#entries[this.#at]!.address;
  }

  /** How many there are. */
  get count(): number {
    return this.#entries.length;
  }

  /** It is the next one's turn. */
  next(): void {
    this.#at = (this.#at + 1) % this.#entries.length;
  }

  /**
   * Looks the current name up, beside whatever else goes on. Nothing to do for an address, or if it is being looked up.
   *
   * @param ended told when that has ended, if it is the same one's turn then; with the failure, if it is one
   */
  lookUp(ended: (failure?: PeerError) => void): void {
    const entry = this.#entries[this.#at]!;
    const { hostname } = entry.address;
    if (entry.forget || isIP(hostname)) return;
    entry.forget = this.#platform.resolve(hostname, (found) => {
      entry.forget = undefined;
      const failed = found instanceof PeerError;
      // A failure says nothing against what was found before.
      if (!failed) entry.address = { ...entry.address, addresses: found };
      if (entry === this.#entries[this.#at]) ended(failed ? found : undefined);
    });
  }

  /** Forgets all lookups. */
  forget(): void {
    for (const entry of this.#entries) {
      entry.forget?.();
      entry.forget = undefined;
    }
  }
}
