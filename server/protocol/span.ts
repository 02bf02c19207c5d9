/** Lengths of time as people write them: 90s, 30m, 36h, 7d. */

/** In ms, of one of these. */
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** What somebody has written, in ms; undefined: it is not a time. */
export function parseSpan(text: string): number | undefined {
  const [, number, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * UNITS[unit!]!;
}
