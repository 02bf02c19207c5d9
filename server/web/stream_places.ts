/** Limits the number of open streams: in all, and for each address. */
import { isLoopback, peerOf } from "../transport/address.ts";
import { Refusal } from "./routes.ts";

/** Most open streams in all. */
export const MOST_STREAMS = 64;

/** Most open streams of one address; in IPv6, of one network. */
export const MOST_OF_ONE = 16;

export class Places {
  readonly #taken = new Map<string, number>();
  #all = 0;

  /**
   * Opens a stream.
   *
   * @param address The client's address. Undefined, or this machine's: it may be a proxy, so only the total limit
   * applies.
   * @param begin Called with a function to call, once, when the stream has ended.
   * @throws {Refusal} there are too many
   */
  take(address: string | undefined, begin: (ended: () => void) => Response): Response {
    const peer = address === undefined ? undefined : peerOf(address);
    const key = peer === undefined || isLoopback(peer) ? undefined : peer;
    const of = key === undefined ? 0 : this.#taken.get(key) ?? 0;
    if (of >= MOST_OF_ONE) throw tooMany(`${key} already has ${MOST_OF_ONE} open streams`);
    if (this.#all >= MOST_STREAMS) throw tooMany(`there are already ${MOST_STREAMS} open streams`);
    this.#all++;
    if (key !== undefined) this.#taken.set(key, of + 1);
    const ended = () => {
      this.#all--;
      if (key === undefined) return;
      const left = this.#taken.get(key)! - 1;
      if (left === 0) this.#taken.delete(key);
      else this.#taken.set(key, left);
    };
    try {
      return begin(ended);
    } catch (error) {
      ended(); // it did not begin
      throw error;
    }
  }
}

function tooMany(message: string): Refusal {
  return new Refusal(503, "TOO_MANY_STREAMS", message);
}
