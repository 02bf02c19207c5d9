/**
 * Devices that are not here, and of which everything must be told again when they come. A stranger can have as many ids
 * forgotten as he likes: so there is a limit. Beyond it, every device counts as absent until it has come.
 */

/** Most ids that are kept while they are absent. */
export const MOST_ABSENT = 10_000;

export class Absentees {
  readonly #absent = new Set<string>();
  // As soon as there were too many: those that have come since, and all others are absent. No more than the server has.
  #present: Set<string> | undefined;

  /** How many ids are kept. */
  get size(): number {
    return (this.#present ?? this.#absent).size;
  }

  /** A device is not here. */
  add(id: string): void {
    if (this.#present) return void this.#present.delete(id);
    this.#absent.add(id);
    if (this.#absent.size <= MOST_ABSENT) return;
    this.#absent.clear();
    this.#present = new Set();
  }

  /** A device is here. @returns whether it was absent */
  comes(id: string): boolean {
    if (!this.#present) return this.#absent.delete(id);
    if (this.#present.has(id)) return false;
    this.#present.add(id);
    return true;
  }

  /** The server has forgotten a device. */
  forgets(id: string): void {
    this.#present?.delete(id);
  }
}
