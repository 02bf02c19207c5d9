/** What a device says about itself when it connects, as it is published. */
import { pairsOf } from "../../server/protocol/diagnostics.ts";

/**
 * The metadata of its last hello, as they are, numbers as numbers; and `booted`, in ISO 8601, if it has said its
 * milliseconds.
 */
export type Diagnostics = Readonly<Record<string, string | number>>;

const NUMBER = /^-?\d{1,15}$/;

/** A device's milliseconds come round. */
const ROUND = 2 ** 32;

/** How far two times of one boot may be apart, in ms, and how far a device's clock may be wrong. */
const TOLERANCE = 60_000;
const DRIFT = 1 / 1000;

/**
 * @param metadata `key=value` pairs with a space between them.
 * @param now In ms since 1970.
 * @param before What was published last: of one boot the same time is told, though clocks are never quite the same.
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
