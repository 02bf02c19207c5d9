/** The results of many seeds. */
import type { Outcome } from "./run.ts";

export interface Found {
  seed: number;
  violation: string;
}

/** A summary, which can be sent between workers. */
export interface Summary {
  seeds: number;
  /** Worlds in which devices use channels. */
  channels: number;
  /** Of these, with a bridge to a broker. */
  mqtt: number;
  /** Simulated ms, of all devices together. */
  time: number;
  messages: number;
  faults: Record<string, number>;
  found: Found[];
}

export function emptySummary(): Summary {
  return { seeds: 0, channels: 0, mqtt: 0, time: 0, messages: 0, faults: {}, found: [] };
}

export function addOutcome(summary: Summary, seed: number, outcome: Outcome): void {
  summary.seeds++;
  if (outcome.channels) summary.channels++;
  if (outcome.mqtt) summary.mqtt++;
  summary.time += outcome.time * outcome.devices;
  summary.messages += outcome.messages;
  for (const [kind, count] of outcome.faults) {
    summary.faults[kind] = (summary.faults[kind] ?? 0) + count;
  }
  if (outcome.violation !== undefined) summary.found.push({ seed, violation: outcome.violation });
}

export function addSummary(sum: Summary, part: Summary): void {
  sum.seeds += part.seeds;
  sum.channels += part.channels;
  sum.mqtt += part.mqtt;
  sum.time += part.time;
  sum.messages += part.messages;
  for (const [kind, count] of Object.entries(part.faults)) {
    sum.faults[kind] = (sum.faults[kind] ?? 0) + count;
  }
  sum.found.push(...part.found);
}

/** One line for people. */
export function describeSummary(summary: Summary, seconds: number): string {
  const { seeds, channels, mqtt, time, messages, faults, found } = summary;
  const kinds = Object.entries(faults).sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${count} ${kind}`);
  const total = Object.values(faults).reduce((sum, count) => sum + count, 0);
  const perSecond = (value: number) => (value / seconds).toPrecision(3);
  return `${found.length === 0 ? "ok" : `${found.length} VIOLATIONS`} | ${seeds} seeds in ` +
    `${seconds.toFixed(1)} s (${
      perSecond(seeds)
    } a second), ${channels} with channels, ${mqtt} of them with a ` +
    `broker | ${(time / 3_600_000).toFixed(2)} ` +
    `device-hours simulated (${perSecond(time / 3_600_000)} a second) | ${messages} messages ` +
    `(${perSecond(messages)} a second) | ${total} faults: ${kinds.join(", ")}`;
}
