/** What a server does before it stops, for a limited time: a failing store must not keep it from stopping. */
import type { Clock } from "../transport/platform.ts";
import { waitFor } from "../transport/wait_for.ts";

/**
 * Admits nobody any more, and waits until what has arrived is safe and acknowledged. Otherwise devices would send it
 * again: it would be dropped as a duplicate, but would cost each of them airtime.
 */
export async function drain(server: { drain(): Promise<void> }, clock: Clock): Promise<void> {
  await waitFor(server.drain(), clock);
}
