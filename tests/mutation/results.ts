/** Results of the mutants, in a file to which each is added at once: a stopped run continues from there. */
import type { Mutant } from "./tree.ts";
import type { Fate, Verdict } from "./trials.ts";

/** A mutant and its result. */
export type Result = Omit<Mutant, "core"> & Verdict;

export const SURVIVED: Fate[] = ["survived", "passed by no test"];

/** The results of this run, and of earlier ones. */
export class Results {
  readonly #of = new Map<string, Result>();

  /** @param path undefined: they are not stored. */
  private constructor(readonly path: string | undefined) {}

  /** @param path The file, a line of JSON for each result. It may be missing. @throws {Error} if it holds something else */
  static async open(path?: string): Promise<Results> {
    const results = new Results(path);
    if (path === undefined) return results;
    await Deno.writeTextFile(path, "", { append: true }); // so that an unwritable file is noticed now, not after an hour
    const text = await Deno.readTextFile(path);
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    // A run that was killed may have left a part of a line.
    if (whole !== text) await Deno.writeTextFile(path, whole);
    for (const line of whole.split("\n").slice(0, -1)) {
      try {
        const result: Result = JSON.parse(line);
        results.#of.set(key(result), result);
      } catch {
        throw new Error(`${path} has a line that is no result: ${line.slice(0, 100)}`);
      }
    }
    return results;
  }

  get(mutant: Omit<Mutant, "core">): Result | undefined {
    return this.#of.get(key(mutant));
  }

  async add(result: Result): Promise<void> {
    this.#of.set(key(result), result);
    if (this.path === undefined) return;
    await Deno.writeTextFile(this.path, `${JSON.stringify(result)}\n`, { append: true });
  }
}

/** Equal for the same change of the same file, wherever it is there now. */
function key({ file, kind, before, after, nth }: Omit<Mutant, "core">): string {
  return JSON.stringify([file, kind, before, after, nth]);
}
