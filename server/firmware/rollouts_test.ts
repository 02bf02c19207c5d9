/** The ids of rollouts. */
import { assert } from "@std/assert";
import type { Deploy } from "./deploy.ts";
import { type DeployElsewhere, Rollouts } from "./rollouts.ts";

/** The ids that several servers choose for rollouts at the same time. */
function idsOf(servers: number, date: number, elsewhere: readonly DeployElsewhere[]): number[] {
  return Array.from({ length: servers }, () => new Rollouts(() => elsewhere, () => {}).newId(date));
}

/** A device of another server, as a member of a rollout. */
function memberOf(rollout: number): DeployElsewhere {
  const deploy: Deploy = {
    ...{ name: "kitchen", version: 4, hash: "abcdefgh", phase: "waits", size: 1, arrived: 0 },
    ...{ begun: new Date(0), since: new Date(0), rollout },
  };
  return { id: "a", deploy };
}

Deno.test("servers that begin rollouts in the same millisecond choose different ids", () => {
  for (const elsewhere of [[], [memberOf(1e12)], [memberOf(9e14)]]) {
    const ids = idsOf(20, 1.7e12 + 0.5, elsewhere);
    assert(new Set(ids).size > 15, String(ids));
    assert(ids.every((id) => Number.isSafeInteger(id)), String(ids));
  }
});

Deno.test("a later rollout has a larger id, even if the clock was set back or an earlier version chose the other id", () => {
  for (const earlier of [1.7e12, ...idsOf(1, 1.7e12, []), ...idsOf(1, 2e12, [])]) {
    for (const id of idsOf(20, 1.7e12, [memberOf(earlier)])) assert(id > earlier);
  }
});
