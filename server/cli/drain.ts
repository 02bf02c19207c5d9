/** What a server does before it ends, but not for long: a store that fails must not keep it. */
import type { Clock } from "../transport/platform.ts";
import { waitFor } from "../transport/wait_for.ts";

/**
 * Lets nobody in any more, and waits until what has arrived by now is safe and acknowledged. Devices would send it again
 * otherwise: it would be known then, but that costs each of them an airtime that it need not have.
 */
export async function drain(server: { drain(): Promise<void> }, clock: Clock): Promise<void> {
  await waitFor(server.drain(), clock);
}
