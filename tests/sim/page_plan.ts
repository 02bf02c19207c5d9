/** Worlds whose server has a page: which there are, and what is left out in them. */
import type { HistoryPace } from "../../server/web/history.ts";
import type { FaultKind } from "./fault_kinds.ts";
import type { Scenario } from "./scenario.ts";

/** Of so many seeds one is such a world. */
const SHARE = 6;
const PLACE = 1;

/** With these the table is another one or an old one, or nobody could say what the timeline should show. */
const OUT: readonly FaultKind[] = ["store lost", "old copy of the store", "date set"];

/** Whether somebody looks at a seed's world. */
export function hasPage(seed: number): boolean {
  return seed % SHARE === PLACE;
}

/** Somebody looks at a scenario's devices. */
export function addPage(scenario: Scenario): void {
  const faults = scenario.faults.filter((kind) => !OUT.includes(kind));
  scenario.faults = faults.length > 0 ? faults : ["cut"];
  scenario.page = true;
}

/** As worlds are short, what is noted is written sooner than it is in earnest. */
export function paceOf({ timeout }: Scenario): HistoryPace {
  return { soon: timeout / 4, heartbeat: 2 * timeout };
}
