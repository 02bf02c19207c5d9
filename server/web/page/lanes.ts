/** The contents of a device's lane in the timeline. Times are ms since 1970. */
import type { LinkTime } from "../history.ts";

/** Up: it had a link. Away: it had none. Asleep: it had none because it slept. Unseen: the server did not run. */
export type LaneState = "up" | "away" | "asleep" | "unseen";

/** A part of a lane. */
export interface Span {
  readonly state: LaneState;
  readonly from: number;
  readonly to: number;
}

/** The part of the timeline that is shown. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * The spans of a device's lane, oldest first. There are none before its first link, as nothing is known about that
 * time.
 *
 * @param links The device's links, oldest first.
 * @param served when the server ran, oldest first
 */
export function spansOf(
  links: readonly LinkTime[],
  served: readonly LinkTime[],
  { from, to }: Range,
): Span[] {
  const [first] = links;
  if (!first) return [];
  const spans: Span[] = [];
  const add = (state: LaneState, begin: number, end: number) => {
    const span = { state, from: Math.max(begin, from), to: Math.min(end, to) };
    if (span.from < span.to) spans.push(span);
  };
  /** Adds a time without a link: as `state` where the server ran, otherwise as unseen. */
  const gap = (begin: number, end: number, state: LaneState) => {
    let at = begin;
    for (const { from, to = Infinity } of served) {
      if (to <= at || from >= end) continue;
      add("unseen", at, from);
      add(state, Math.max(at, from), Math.min(to, end));
      at = Math.min(to, end);
    }
    add("unseen", at, end);
  };
  let at = first.from;
  let without: LaneState = "away";
  for (const { from, to: until = to, code } of links) {
    gap(at, from, without);
    add("up", from, until);
    at = Math.max(at, until);
    without = code === "ASLEEP" ? "asleep" : "away";
  }
  gap(at, to, without);
  return spans;
}

/** Links in a range before which the device restarted. */
export function startsIn(links: readonly LinkTime[], { from, to }: Range): LinkTime[] {
  return links.filter((link) => link.boot !== undefined && link.from >= from && link.from < to);
}

/** How often a device was away in a range, and for how long in all, in ms. */
export function outagesIn(spans: readonly Span[]): { count: number; ms: number } {
  const away = spans.filter(({ state }) => state === "away");
  return { count: away.length, ms: away.reduce((sum, { from, to }) => sum + to - from, 0) };
}

/** Merges new and changed periods into a list. Both are oldest first. */
export function merged(
  known: readonly LinkTime[],
  changed: readonly LinkTime[],
): readonly LinkTime[] {
  const [first] = changed;
  return first ? [...known.filter(({ from }) => from < first.from), ...changed] : known;
}

/** The ranges that the timeline can show, in ms, with their names. */
export const RANGES: readonly (readonly [ms: number, name: string])[] = [
  [60_000, "minute"],
  [600_000, "10 min"],
  [3_600_000, "hour"],
  [86_400_000, "day"],
  [604_800_000, "week"],
];

/** The longest range that is shown by default. */
const LONGEST_UNASKED = 3_600_000;

/** The default range: the shortest that shows everything known. @param known For how long something is known, in ms. */
export function rangeFor(known: number): number {
  const [ms] = RANGES.find(([ms]) => ms >= Math.min(known, LONGEST_UNASKED))!;
  return ms;
}
