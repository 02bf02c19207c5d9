/** A device that sleeps, as it has said: kept in one of its memos, so that it is known through restarts of the server. */
import type { DeviceRecord } from "./record.ts";

/** A memo's key. */
const NAP = "sleep";

/** Most seconds that a device may sleep: 25 days, which is as much as a timer takes. */
export const MOST_SLEEP = 2_147_483;

/**
 * How late a device may be, as a part of its sleep: a chip's clock that runs in its sleep is an oscillator of resistors
 * and capacitors, and off by up to 5 %. And in ms: what it may take to join a WiFi, to be let in and to get an address,
 * before a firmware of ours gives up (15 s each).
 */
const LATE = 1 / 20;
const JOINING = 30_000;

/** Times in ms since 1970. */
export interface Nap {
  /** When it should be back. */
  readonly until: number;
  /** From when on it is missed. */
  readonly missed: number;
}

/** The sleep of a device that has said so, and has not connected since. */
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

/** Until when the device sleeps; undefined: it does not. */
export function asleepUntil(record: DeviceRecord): Date | undefined {
  const nap = napOf(record);
  return nap && new Date(nap.until);
}
