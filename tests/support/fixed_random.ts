/**
 * Fixed values for the random parts of the wire, epochs and nonces.
 *
 * @module
 */

/** Gives out words and nonces in place of `crypto.getRandomValues`. */
export class FixedRandom {
  #words: number[] = [];
  #nonce: number;

  /** @param nonce The first nonce is 16 bytes of this value; each further one uses the next value. */
  constructor(nonce: number) {
    this.#nonce = nonce;
  }

  /** The next words; after the last one, it counts up. */
  set words(words: readonly number[]) {
    this.#words = [...words];
  }

  /** Runs something that needs random numbers. */
  during<T>(run: () => T): T {
    Object.defineProperty(crypto, "getRandomValues", {
      configurable: true,
      value: (array: Uint8Array | Uint32Array) => this.#fill(array),
    });
    try {
      return run();
    } finally {
      // Now the prototype's method is visible again.
      delete (crypto as Partial<Crypto>).getRandomValues;
    }
  }

  #fill(array: Uint8Array | Uint32Array): Uint8Array | Uint32Array {
    if (array instanceof Uint8Array) return array.fill(this.#nonce++ & 255);
    return array.map((_, i) => array[i] = this.#word());
  }

  #word(): number {
    const word = this.#words.shift() ?? 1;
    if (this.#words.length === 0) this.#words.push((word + 1) >>> 0);
    return word;
  }
}
