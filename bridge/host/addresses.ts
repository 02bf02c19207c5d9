import { PeerError } from "../../server/protocol/errors.ts";
import type { ConnectOptions, Platform } from "../../server/transport/platform.ts";
import { isIP } from "node:net";

interface Entry {
  address: ConnectOptions;
  /** Cancels the lookup under way. */
  forget?: (() => void) | undefined;
}

/** A server's names and addresses, which are tried in turn, and the addresses that names resolved to. */
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

  /** The one to try now. Without `addresses` the name must be looked up first. */
  get current(): ConnectOptions {
    return this.#entries[this.#at]!.address;
  }

  /** How many addresses there are. */
  get count(): number {
    return this.#entries.length;
  }

  /** Moves on to the next one. */
  next(): void {
    this.#at = (this.#at + 1) % this.#entries.length;
  }

  /**
   * Looks the current name up in the background. Does nothing for an address, or if a lookup is under way.
   *
   * @param ended Called at the end of the lookup, if that name is still the current one; with the failure,
   * if it failed.
   */
  lookUp(ended: (failure?: PeerError) => void): void {
    const entry = this.#entries[this.#at]!;
    const { hostname } = entry.address;
    if (entry.forget || isIP(hostname)) return;
    entry.forget = this.#platform.resolve(hostname, (found) => {
      entry.forget = undefined;
      const failed = found instanceof PeerError;
      // A failure does not invalidate earlier results.
      if (!failed) entry.address = { ...entry.address, addresses: found };
      if (entry === this.#entries[this.#at]) ended(failed ? found : undefined);
    });
  }

  /** Cancels all lookups. */
  forget(): void {
    for (const entry of this.#entries) {
      entry.forget?.();
      entry.forget = undefined;
    }
  }
}
