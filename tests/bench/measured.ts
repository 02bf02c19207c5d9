/** Waiting and measuring, for loaders that take orders on stdin. */

/** The longest wait for anything, in ms: the machine may be busy. */
export const PATIENCE = 30_000;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Measures for `ms`, and longer if nothing has been measured yet: a busy machine may need that.
 *
 * @throws {Error} if nothing comes
 */
export async function measureFor(ms: number, found: () => boolean): Promise<void> {
  await sleep(ms);
  if (!await isSo(found)) throw new Error(`nothing was measured within ${PATIENCE} ms`);
}

/** Waits until the condition is true. False: it never was. */
export async function isSo(condition: () => boolean): Promise<boolean> {
  for (const end = performance.now() + PATIENCE; !condition();) {
    if (performance.now() >= end) return false;
    await sleep(10);
  }
  return true;
}
