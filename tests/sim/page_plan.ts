/** Worlds whose server has a page: which seeds have one, and which faults are left out. */
import type { HistoryPace } from "../../server/web/history.ts";
import type { FaultKind } from "./fault_kinds.ts";
import type { Scenario } from "./scenario.ts";

/** One seed in this many is such a world. */
const SHARE = 6;
const PLACE = 1;

/** With these the table is replaced, or nobody could say what the timeline should show. */
const OUT: readonly FaultKind[] = ["store lost", "old copy of the store", "date set"];

/** Whether a seed's server has a page. */
export function hasPage(seed: number): boolean {
  return seed % SHARE === PLACE;
}

/** Adds a page to a scenario. */
export function addPage(scenario: Scenario): void {
  const faults = scenario.faults.filter((kind) => !OUT.includes(kind));
  scenario.faults = faults.length > 0 ? faults : ["cut"];
  scenario.page = true;
}

/** Worlds are short, so notes are written sooner than in production. */
export function paceOf({ timeout }: Scenario): HistoryPace {
  return { soon: timeout / 4, heartbeat: 2 * timeout };
}
