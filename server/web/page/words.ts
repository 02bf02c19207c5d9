/** Formats times and numbers for people. */

const UNITS: readonly (readonly [ms: number, word: string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1000, "s"],
];

/** A duration in its largest unit, rounded down: "3 min". */
export function lasting(ms: number): string {
  const [size, word] = UNITS.find(([size]) => ms >= size) ?? [1000, "s"];
  return `${Math.floor(Math.max(0, ms) / size)} ${word}`;
}

const NUMBERS = new Intl.NumberFormat("en");

/** A number with separators: "1,000". */
export function number(value: number): string {
  return NUMBERS.format(value);
}

/** A short duration, such as a round trip: "0.4 ms", "23 ms", "2 s". */
export function quick(ms: number): string {
  if (ms >= 10_000) return lasting(ms);
  return `${ms < 10 ? ms.toFixed(1) : number(Math.round(ms))} ms`;
}

/** A count with its noun in singular or plural. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : several}`;
}

/** Control characters and direction marks. */
// deno-lint-ignore no-control-regex
const ACTIVE = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/** Makes text from a device safe to show: it cannot pose as something else. */
export function shown(text: string): string {
  return text.replace(ACTIVE, "\ufffd");
}

/** A value of a channel: JSON, or text as it is. */
export function worded(value: unknown): string {
  return shown(typeof value === "string" ? value : JSON.stringify(value));
}

/** The time of day, with the date if it was another day. @param now ms since 1970, like `at`. */
export function clock(at: number, now: number): string {
  const [date, today] = [new Date(at), new Date(now)];
  const time = date.toLocaleTimeString("en-GB");
  if (date.toDateString() === today.toDateString()) return time;
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return `${day} ${time}`;
}
