/** What a server does before it ends, but not for long: a store that fails must not keep it. */
import { HoldfastError } from "../protocol/errors.ts";
import type { Clock } from "../transport/platform.ts";

/** For how long each thing is waited for, in ms. */
const PATIENCE = 2000;

/**
 * Lets nobody in any more, and waits until what has arrived by now is safe and acknowledged. Devices would send it again
 * otherwise: it would be known then, but that costs each of them an airtime that it need not have.
 */
export function drain(server: { drain(): Promise<void> }, clock: Clock): Promise<void> {
  return waitFor(server.drain(), clock);
}

/** Waits for something, but not for long. @throws what it throws, unless the server is closed by then */
export async function waitFor(work: Promise<void>, clock: Clock): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(PATIENCE, resolve);
  try {
    await Promise.race([work, late]);
  } catch (error) {
    if (!(error instanceof HoldfastError && error.code === "CLOSED")) throw error;
  } finally {
    cancel();
  }
  work.catch(() => {}); // nobody waits any more
}
