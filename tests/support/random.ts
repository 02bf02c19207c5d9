/**
 * Repeatable random tests: every run has a seed, a failure names it, and HOLDFAST_SEED=seed in the environment repeats
 * that run.
 *
 * @module
 */

/** Numbers that look random and follow from a seed (sfc32). */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed Any 32-bit number. */
  constructor(readonly seed: number) {
    this.#a = seed >>> 0;
    this.#b = 0x9e3779b9;
    this.#c = 0x243f6a88;
    for (let i = 0; i < 12; i++) this.bits();
  }

  /** 32 random bits, as a number from 0. */
  bits(): number {
    const sum = (this.#a + this.#b + this.#counter++) >>> 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = ((this.#c << 21 | this.#c >>> 11) + sum) >>> 0;
    return sum;
  }

  /** An integer from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return least + this.bits() % (most - least + 1);
  }

  /** True once in `n` times. */
  once(n: number): boolean {
    return this.bits() % n === 0;
  }

  /** One of them. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.bits() % choices.length]!;
  }

  /** Bytes of any value. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.bits());
  }

  /** Cuts bytes into pieces of 1 to `most`. */
  *cut(bytes: Uint8Array, most: number): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length;) {
      const end = at + this.int(1, most);
      yield bytes.subarray(at, end);
      at = end;
    }
  }
}

/**
 * Registers a test that does something `runs` times, each time with another seed.
 *
 * ```ts ignore
 * randomTest("a reversed text is as long as the text", 100, (random) => {
 *   const text = "x".repeat(random.int(0, 9));
 *   assertEquals([...text].reverse().length, text.length);
 * });
 * ```
 */
export function randomTest(
  name: string,
  runs: number,
  run: (random: Random) => void | Promise<void>,
): void {
  Deno.test(name, async () => {
    const chosen = Deno.env.get("HOLDFAST_SEED");
    const first = chosen === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(chosen);
    if (!Number.isInteger(first)) throw new Error(`HOLDFAST_SEED is no integer: ${chosen}`);
    for (let i = 0; i < (chosen === undefined ? runs : 1); i++) {
      const seed = (first + i) >>> 0;
      try {
        await run(new Random(seed));
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`${reason}\nTo run it again: HOLDFAST_SEED=${seed}`, { cause });
      }
    }
  });
}
