/** A device's diagnostics from its hello, as they are published. */
import { pairsOf } from "../../server/protocol/diagnostics.ts";

/**
 * The metadata of its last hello, with numbers as numbers; and `booted`, in ISO 8601, if the metadata has its
 * milliseconds.
 */
export type Diagnostics = Readonly<Record<string, string | number>>;

const NUMBER = /^-?\d{1,15}$/;

/** Where a device's milliseconds wrap. */
const ROUND = 2 ** 32;

/** How far two computed times of one boot may be apart, and how far a device's clock may be wrong, in ms. */
const TOLERANCE = 60_000;
const DRIFT = 1 / 1000;

/**
 * @param metadata `key=value` pairs separated by spaces.
 * @param now In ms since 1970.
 * @param before What was published last: a boot keeps its first time, though clocks differ slightly.
 */
export function diagnosticsOf(
  metadata: string,
  now: number,
  before: Diagnostics = {},
): Diagnostics {
  const pairs = pairsOf(metadata);
  const told = pairs.filter(([key]) => key !== "ms" && key !== "booted")
    .map(([key, value]): [string, string | number] => [
      key,
      NUMBER.test(value) ? Number(value) : value,
    ]);
  const ms = pairs.find(([key]) => key === "ms")?.[1] ?? "";
  if (/^\d{1,10}$/.test(ms) && Number(ms) < ROUND) {
    told.push(["booted", bootOf(Number(ms), now, before.booted)]);
  }
  return Object.fromEntries(told);
}

function bootOf(ms: number, now: number, before: string | number | undefined): string {
  const known = Date.parse(String(before));
  const age = now - known;
  if (age >= 0) {
    const apart = Math.abs((age - ms + ROUND / 2) % ROUND - ROUND / 2);
    if (apart <= TOLERANCE + age * DRIFT) return String(before);
  }
  return new Date(now - ms).toISOString();
}
