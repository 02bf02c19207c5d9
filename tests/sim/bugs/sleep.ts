/** Bugs in the state that either end keeps while a device sleeps. */
import { type Bugs, edit } from "./bug.ts";

const SLEEP = "bridge/host/sleep.ts";
const CORE = "bridge/host/core.ts";
const NAP = "server/link/nap.ts";
const SLEEPERS = "server/firmware/sleepers.ts";

export const SLEEP_BUGS: Bugs = {
  "a sleep is taken for an outage": edit(
    SLEEPERS,
    "if (!nap || nap.missed <= this.#clock.date()) {",
    "if (nap || !nap) {",
  ),
  "nobody waits for one that is a little late": edit(
    NAP,
    "const missed = until + Math.round(seconds * 1000 * LATE) + JOINING;",
    "const missed = until;",
  ),
  "one that is not back is never missed": edit(
    SLEEPERS,
    `      if (this.#find(id) === device) this.#events.emit({ event: "overdue", device: id, message });\n`,
    "",
  ),
  "one that is back is still thought to sleep": edit(
    SLEEPERS,
    "    this.#forget(id);\n    setNap(record, 0, 0);\n",
    "",
  ),
  "what waits in a sleep gets other numbers": edit(
    SLEEP,
    "first: core.done }",
    "first: core.queued }",
  ),
  "what waits in a sleep is of another stream": edit(
    SLEEP,
    "epoch: core.epoch,",
    "epoch: core.epoch ^ 1,",
  ),
  "what was withdrawn before a sleep is sent after it": edit(
    CORE,
    "texts.push(isWithdrawn ? undefined :",
    "texts.push(isWithdrawn ? new TextEncoder().encode(`-${at}`) :",
  ),
  "what has left the outbox waits in a sleep all the same": edit(
    CORE,
    "if (flags === Flag.doneWith) continue; // it has left",
    "",
  ),
};
