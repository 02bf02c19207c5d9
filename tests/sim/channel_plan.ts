/** Worlds in which devices use channels: which ones there are, and how a device reacts to settings. */
import type { LocalRule } from "../../server/channels/states.ts";
import type { FaultKind } from "./fault_kinds.ts";
import type { Random } from "../../bridge/testing/random.ts";
import type { DeviceTalk, Scenario } from "./scenario.ts";

/** One seed in this many is such a world. */
const SHARE = 6;

/** The channels that are set, and the rule for a change at the device. */
export const RULES: Readonly<Record<string, LocalRule>> = { led: "wins", fan: "loses" };

/** A channel that is only reported. */
export const READING = "temp";

/** Requests to a device. */
export const ASKED = "adc";

/**
 * With these, the store is replaced, so that nobody knows what was said before; or the device's own messages are
 * refused, without anybody being told.
 */
const OUT: readonly FaultKind[] = [
  "store lost",
  "old copy of the store",
  "device's memory full",
];

/** Share of these worlds in which devices sleep as often as two other faults happen. */
const SLEEPY = 0.3;

/** Shortest line of such a device, in bytes. */
const LINE = 60;

/** Whether a seed's devices use channels. */
export function speaksChannels(seed: number): boolean {
  return seed % SHARE === 0;
}

/** Makes a scenario one of channels, and nothing else. */
export function addChannels(scenario: Scenario, random: Random): void {
  if (scenario.siege) return; // those are about something else
  const faults = scenario.faults.filter((kind) => !OUT.includes(kind));
  scenario.faults = faults.length > 0 ? faults : ["cut"];
  if (random.chance(SLEEPY)) scenario.faults.push("device sleeps", "device sleeps");
  speakOfChannels(scenario, random);
}

/** Makes devices and applications use channels only. */
export function speakOfChannels(scenario: Scenario, random: Random): void {
  scenario.channels = true;
  scenario.deadLetters = false; // a dropped message would drop a state
  for (const { talk, serverTalk, size } of scenario.devices) {
    size.line = Math.max(size.line, LINE);
    size.outbox = Math.max(size.outbox, LINE + 7);
    silence(talk, random.skewed(0, 15));
    silence(serverTalk, random.skewed(1, 20));
  }
}

/** Only lines about channels are sent. */
function silence(talk: DeviceTalk, messages: number): void {
  Object.assign(talk, { messages, qosOff: 0, expiring: 0, logs: 0, long: 0, answers: 0 });
  talk.dropped = 0;
}

/** A value as the applications say it: a number, or a text with a number in it. No two are the same. */
export function valueFrom(count: number, random: Random): number | string {
  return random.chance(0.7) ? count : `s${count}`;
}

/** A device's reaction to a setting: the value that it has then, if it accepts it. */
export function verdictOf(value: unknown): { value: unknown } | "bad_value" {
  const count = Number(String(value).replace("s", ""));
  if (count % 10 === 9) return "bad_value";
  return { value: count % 10 >= 7 && Number.isInteger(count) ? count + 0.5 : value };
}

/** A value, or its text if it cannot be compared. */
export function plain(value: unknown): unknown {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : value;
}

/** Whether a device accepts a value unchanged. */
export function takes(value: unknown): boolean {
  const verdict = verdictOf(value);
  return verdict !== "bad_value" && verdict.value === value;
}
