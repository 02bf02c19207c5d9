/**
 * Compares the contents of a flash with expected bytes. `assertEquals` would look for the shortest way to turn
 * one into the other, which takes all memory when there are many differences.
 *
 * @module
 */

/** How many bytes differ, including those that only one has. */
export function differences(a: Uint8Array, b: Uint8Array): number {
  let count = Math.abs(a.length - b.length);
  for (let at = 0; at < Math.min(a.length, b.length); at++) if (a[at] !== b[at]) count++;
  return count;
}

/** Fails with the place if any byte differs. */
export function assertSameBytes(actual: Uint8Array | undefined, expected: Uint8Array): void {
  if (actual === undefined) throw new Error("there are no bytes");
  const count = differences(actual, expected);
  if (count === 0) return;
  const at = expected.findIndex((byte, index) => actual[index] !== byte);
  const place = at < 0 ? "behind the end" : `first at 0x${at.toString(16)}`;
  throw new Error(
    `${count} bytes differ, ${place}: ${actual[at]} instead of ${expected[at]}; ` +
      `${actual.length} bytes instead of ${expected.length}`,
  );
}
