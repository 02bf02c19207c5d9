/** Waits for a limited time: a failing store must not block a start or a stop. */
import { HoldfastError } from "../protocol/errors.ts";
import type { Clock } from "./platform.ts";

/** Longest wait in ms. */
export const PATIENCE = 2000;

/**
 * Waits for something, for at most `PATIENCE` ms.
 *
 * @returns whether it is done; if not, it continues, and its later failure is not reported
 * @throws what it throws by then, unless the server is closed
 */
export async function waitFor(work: Promise<unknown>, clock: Clock): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const cancel = clock.after(PATIENCE, () => resolve(false));
  work.catch(() => {}); // it may fail later, when nobody waits any more
  try {
    return await Promise.race([work.then(() => true), late]);
  } catch (error) {
    if (!(error instanceof HoldfastError && error.code === "CLOSED")) throw error;
    return false;
  } finally {
    cancel();
  }
}
