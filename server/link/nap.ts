/** A device's announced sleep, kept in one of its memos, so that the server knows it after a restart. */
import type { DeviceRecord } from "./record.ts";

/** Key of the memo. */
const NAP = "sleep";

/** Longest sleep of a device, in s: 25 days, the most that a timer takes. */
export const MOST_SLEEP = 2_147_483;

/**
 * How late a device may be, as a fraction of its sleep: the clock that runs while a chip sleeps is an RC oscillator,
 * off by up to 5 %. And in ms: how long it may take to join the WiFi and to get an address before our firmware gives up
 * (15 s each).
 */
const LATE = 1 / 20;
const JOINING = 30_000;

/** A sleep; times in ms since 1970. */
export interface Nap {
  /** When it should be back. */
  readonly until: number;
  /** When it starts to count as missing. */
  readonly missed: number;
}

/** The announced sleep of a device that has not connected since. */
export function napOf(record: DeviceRecord): Nap | undefined {
  const [until, missed] = record.memos.get(NAP)?.split(" ").map(Number) ?? [];
  return until === undefined || missed === undefined ? undefined : { until, missed };
}

/** The device goes to sleep for this many seconds; 0: it does not, or is awake. */
export function setNap(record: DeviceRecord, seconds: number, date: number): void {
  const until = Math.round(date) + seconds * 1000;
  const missed = until + Math.round(seconds * 1000 * LATE) + JOINING;
  record.setMemo(NAP, seconds === 0 ? undefined : `${until} ${missed}`);
}

/** Until when the device sleeps; undefined: it does not sleep. */
export function asleepUntil(record: DeviceRecord): Date | undefined {
  const nap = napOf(record);
  return nap && new Date(nap.until);
}
