/**
 * Other servers that wait for the end of a deploy. They are kept in memos, so they are told wherever the device is
 * then.
 */
import { DONE, failure } from "../link/outcome.ts";
import { type DeviceRecord, WAITS } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";

/** Most that wait for one device's deploy. */
const MOST = 16;

function waiting({ memos }: DeviceRecord): string[] {
  return [...memos.keys()].filter((key) => key.startsWith(WAITS));
}

/**
 * Adds another server that waits for the end of the deploy under way.
 *
 * @param from Where to report the end, as `Outgoing.from`.
 * @throws {LocalError} OUTBOX_FULL: too many wait already
 */
export function awaitEnd(record: DeviceRecord, from: string): void {
  if (waiting(record).length >= MOST) {
    throw new LocalError("OUTBOX_FULL", `${MOST} callers wait for this deploy already`);
  }
  record.setMemo(WAITS + from, "deploy");
}

/** A deploy has ended: tells the servers that wait, in the same commit. @param error Why it failed */
export function tellEnd(record: DeviceRecord, error: LocalError | undefined): void {
  for (const key of waiting(record)) {
    record.reply(key.slice(WAITS.length), error ? failure(error) : DONE);
    record.setMemo(key, undefined);
  }
}
