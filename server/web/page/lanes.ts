/** What a device's lane of the timeline shows. Times are ms since 1970. */
import type { LinkTime } from "../history.ts";

/** Up: it had a link. Away: it had none. Asleep: it had none, as it has said. Unseen: the server did not run. */
export type LaneState = "up" | "away" | "asleep" | "unseen";

/** A part of a lane. */
export interface Span {
  readonly state: LaneState;
  readonly from: number;
  readonly to: number;
}

/** Which part of the timeline is shown. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * The spans of a device's lane, oldest first. There are none before its first link, as nothing is known of that time.
 *
 * @param links the device's, oldest first
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
  /** Without a link, as far as the server saw it. */
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

/** Links before which the device was started, in a range. */
export function startsIn(links: readonly LinkTime[], { from, to }: Range): LinkTime[] {
  return links.filter((link) => link.boot !== undefined && link.from >= from && link.from < to);
}

/** How often a device was away in a range, and for how long in all, in ms. */
export function outagesIn(spans: readonly Span[]): { count: number; ms: number } {
  const away = spans.filter(({ state }) => state === "away");
  return { count: away.length, ms: away.reduce((sum, { from, to }) => sum + to - from, 0) };
}

/** Times of which the last have changed, or have come. Both oldest first. */
export function merged(
  known: readonly LinkTime[],
  changed: readonly LinkTime[],
): readonly LinkTime[] {
  const [first] = changed;
  return first ? [...known.filter(({ from }) => from < first.from), ...changed] : known;
}

/** A time that the timeline can show, in ms, and what it is called. */
export const RANGES: readonly (readonly [ms: number, name: string])[] = [
  [60_000, "minute"],
  [600_000, "10 min"],
  [3_600_000, "hour"],
  [86_400_000, "day"],
  [604_800_000, "week"],
];

/** The longest that is shown unless somebody asks for more. */
const LONGEST_UNASKED = 3_600_000;

/** Which of them shows most of what is known: the shortest that has all of it. @param known for how long, in ms */
export function rangeFor(known: number): number {
  const [ms] = RANGES.find(([ms]) => ms >= Math.min(known, LONGEST_UNASKED))!;
  return ms;
}
