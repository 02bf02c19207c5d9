/** Checks messages "boot number" that a board sends and gets back, through all of its boots. */
import { assert, assertEquals } from "@std/assert";

/** Checks that each boot's messages are there from 0 without a gap, one boot after the other. @returns how many boots
 * there are */
export function checkBoots(processed: readonly string[]): number {
  const boots = Map.groupBy(processed, (line) => line.split(" ")[0]!);
  assertEquals(processed, [...boots.values()].flat(), "one boot after the other");
  for (const [boot, lines] of boots) {
    assertEquals(lines, Array.from(lines, (_, n) => `${boot} ${n}`));
  }
  return boots.size;
}

/**
 * Checks that each boot got everything, and that only the last messages before a reset came again: the board took them,
 * but the server did not know that yet.
 *
 * @returns how many different messages were taken, and how many came again
 */
export function checkTakenAgain(
  processed: readonly string[],
  boots: readonly string[][],
): { taken: number; again: number } {
  let [taken, again] = [0, 0];
  for (const got of boots.filter((got) => got.length > 0)) {
    const from = processed.indexOf(got[0]!);
    assert(from >= 0 && from <= taken, `${got[0]} came, and ${processed[taken]} was next`);
    assertEquals(got, processed.slice(from, from + got.length));
    again += taken - from;
    taken = Math.max(taken, from + got.length);
  }
  return { taken, again };
}
