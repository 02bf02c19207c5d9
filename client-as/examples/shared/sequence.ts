/**
 * Counts the faults in a sequence of ids that should be 0, 1, 2 … The same as `server/apps/sequence.ts`,
 * for a device: it needs only one word of bits.
 */

/** An id this far behind the newest is not late: the sender has restarted. */
const WINDOW: i32 = 32;
/** If the first id is below this, the sender has just started, and the ids before it are missing. */
const START: i32 = 8;

/** Ids that have not come yet. */
export let missing: i32 = 0;
/** How often an id came again. */
export let duplicates: i32 = 0;
/** How often an id came after a greater one. */
export let outOfOrder: i32 = 0;

let newest: i32 = -1;
let gaps: u32 = 0; // bit n: newest - n is missing

/** Counts an id that has come. */
export function check(id: i32): void {
  if (id < 0) return;
  let ahead = id - newest;
  if (newest < 0 || ahead <= -WINDOW || id == 0 && newest >= START) { // the sender has restarted
    gaps = 0;
    ahead = id < START ? id + 1 : 1;
  }
  if (ahead > 0) {
    missing += ahead - 1;
    gaps = ahead < WINDOW ? gaps << ahead | (1 << ahead) - 2 : -2; // -2: all but the newest
    newest = id;
    return;
  }
  const bit = <u32>1 << -ahead;
  if (gaps & bit) {
    gaps ^= bit;
    missing--;
    outOfOrder++;
  } else duplicates++;
}
