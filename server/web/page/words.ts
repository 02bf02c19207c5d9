/** Times and numbers, as people say them. */

const UNITS: readonly (readonly [ms: number, word: string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1000, "s"],
];

/** A time in its greatest unit, rounded down: "3 min". */
export function lasting(ms: number): string {
  const [size, word] = UNITS.find(([size]) => ms >= size) ?? [1000, "s"];
  return `${Math.floor(Math.max(0, ms) / size)} ${word}`;
}

/** One or several of something. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}
