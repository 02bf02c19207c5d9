/** Compares a device's channels at the end with what the server shows. */
import type { Thing } from "../../server/channels/thing.ts";
import { takes, verdictOf } from "./channel_plan.ts";

/** The real state of a device, not just the server's view of it. */
export interface Truth {
  readonly values: ReadonlyMap<string, unknown>;
}

/** What is wrong with a channel; undefined: nothing. @param isDropped A message of the device was dropped */
export function differs(
  channel: string,
  thing: Thing,
  { values }: Truth,
  isDropped: boolean,
): string | undefined {
  const desired = thing.desired(channel);
  const reported = thing.reported(channel)?.value;
  const value = values.get(channel);
  if (!desired) {
    const isKnown = value === undefined || value === reported || isDropped;
    return isKnown ? undefined : `is ${value}, and ${reported} is shown`;
  }
  const verdict = verdictOf(desired.value);
  if (verdict === "bad_value") {
    return desired.fault === verdict && !desired.isMet
      ? undefined
      : "was refused, and the server does not show it";
  }
  if (value === verdict.value && reported === value && desired.isMet === takes(desired.value)) {
    return;
  }
  return `should be ${verdict.value}, is ${value}, ${reported} is shown, ` +
    `and ${desired.isMet ? "met" : "not met"}`;
}
