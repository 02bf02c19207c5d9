/**
 * Checks a sequence of ids that should count 0, 1, 2 …, for the demonstrations of qos.
 * `client-as/examples/shared/sequence.ts` is the same for a device.
 */

/** An id this far behind the newest is not late: the sender has restarted. */
const WINDOW = 32;
/** If the first id is below this, the sender has just started, and the ids before it are missing. */
const START = 8;

export class Sequence {
  /** Ids that have not come yet. */
  missing = 0;
  /** How often an id came again. */
  duplicates = 0;
  /** How often an id came after a greater one. */
  outOfOrder = 0;
  /** How often the sender has restarted. */
  restarts = 0;
  #newest = -1;
  #gaps = new Set<number>(); // those of the last WINDOW ids that are missing

  /** Checks an id that has come. Anything else is ignored. */
  check(id: number): void {
    if (!Number.isSafeInteger(id) || id < 0) return;
    if (this.#newest < 0) this.#begin(id);
    if (id <= this.#newest - WINDOW || (id === 0 && this.#newest >= START)) {
      this.restarts++;
      this.#begin(id);
    }
    if (this.#gaps.delete(id)) {
      this.missing--;
      this.outOfOrder++;
    } else if (id <= this.#newest) {
      this.duplicates++;
    } else {
      this.missing += id - this.#newest - 1;
      for (let gap = Math.max(this.#newest, id - WINDOW) + 1; gap < id; gap++) this.#gaps.add(gap);
      for (const gap of this.#gaps) if (gap <= id - WINDOW) this.#gaps.delete(gap);
      this.#newest = id;
    }
  }

  /** The sequence starts here, or started before we listened. */
  #begin(first: number): void {
    this.#gaps.clear();
    this.#newest = first < START ? -1 : first - 1;
  }

  toString(): string {
    const { missing, duplicates, outOfOrder, restarts } = this;
    return `missing ${missing}, duplicates ${duplicates}, out of order ${outOfOrder}, ` +
      `restarts ${restarts}`;
  }
}
