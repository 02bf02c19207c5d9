/**
 * Absent devices, of which everything must be published again when they come. Strangers can cause any number of ids to
 * be forgotten, so there is a limit. Beyond it, every device counts as absent until it has come.
 */
import type { ServerEvent } from "../../server/mod.ts";

/** Most ids that are kept while they are absent. */
export const MOST_ABSENT = 10_000;

export class Absentees {
  readonly #absent = new Set<string>();
  // Set once there were too many: the devices that have come since; all others are absent. The number of the server's
  // devices bounds it.
  #present: Set<string> | undefined;

  /** How many ids are kept. */
  get size(): number {
    return (this.#present ?? this.#absent).size;
  }

  /** A device is absent. */
  add(id: string): void {
    if (this.#present) return void this.#present.delete(id);
    this.#absent.add(id);
    if (this.#absent.size <= MOST_ABSENT) return;
    this.#absent.clear();
    this.#present = new Set();
  }

  /** A device has come. @returns whether it was absent */
  comes(id: string): boolean {
    if (!this.#present) return this.#absent.delete(id);
    if (this.#present.has(id)) return false;
    this.#present.add(id);
    return true;
  }

  /** The server has forgotten a device. */
  forgets(id: string): void {
    this.#present?.delete(id);
  }
}

/** Whether another server has a device now. */
export function isLoss(
  event: ServerEvent,
): event is Extract<ServerEvent, { event: "moved" | "warning" }> {
  return event.event === "moved" || (event.event === "warning" && event.code === "FENCED");
}
