/** The only source of randomness in a simulated world: everything follows from the seed. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  /** Starts the sequence of a seed, an integer from 0 to 2^53 - 1. */
  constructor(seed: number) {
    this.#a = 0x9e3779b9 ^ seed;
    this.#b = 0x243f6a88 ^ Math.floor(seed / 4294967296);
    this.#c = 0xb7e15162;
    for (let i = 0; i < 12; i++) this.word();
  }

  /** 32 random bits, unsigned (sfc32). */
  word(): number {
    const sum = (this.#a + this.#b + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21 | this.#c >>> 11) + sum) | 0;
    return sum >>> 0;
  }

  /** A whole number from 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.word() / 4294967296 * n);
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** Like `between`, but small values are as frequent as large ones. */
  skewed(least: number, most: number): number {
    const low = Math.log(least + 1);
    const share = this.word() / 4294967296;
    return Math.min(most, Math.floor(Math.exp(low + share * (Math.log(most + 2) - low)) - 1));
  }

  /** True with this probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.word() < probability * 4294967296;
  }

  /** One of the values. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}
