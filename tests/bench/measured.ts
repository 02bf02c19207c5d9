/** How long is measured, for what takes its orders on stdin. */

/** The longest that anything is waited for, in ms: the machine may have much else to do. */
export const PATIENCE = 30_000;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Measures for `ms`, and on until there is something: in a short time, a busy machine may not get to it.
 *
 * @throws {Error} if nothing comes
 */
export async function measureFor(ms: number, found: () => boolean): Promise<void> {
  await sleep(ms);
  if (!await isSo(found)) throw new Error(`nothing was measured within ${PATIENCE} ms`);
}

/** Waits until it is so. False: it never was. */
export async function isSo(condition: () => boolean): Promise<boolean> {
  for (const end = performance.now() + PATIENCE; !condition();) {
    if (performance.now() >= end) return false;
    await sleep(10);
  }
  return true;
}
