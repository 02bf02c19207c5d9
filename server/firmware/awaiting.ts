/** Other servers that wait for the end of a deploy. Memos say who they are: so they are told wherever the device is then. */
import { DONE, failure } from "../link/outcome.ts";
import { type DeviceRecord, WAITS } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";

/** Most who wait for one device's deploy. */
const MOST = 16;

function waiting({ memos }: DeviceRecord): string[] {
  return [...memos.keys()].filter((key) => key.startsWith(WAITS));
}

/**
 * Somebody waits for the end of the deploy that is under way.
 *
 * @param from Where he is told, as `Outgoing.from`.
 * @throws {LocalError} OUTBOX_FULL: too many wait already
 */
export function awaitEnd(record: DeviceRecord, from: string): void {
  if (waiting(record).length >= MOST) {
    throw new LocalError("OUTBOX_FULL", `${MOST} callers wait for this deploy already`);
  }
  record.setMemo(WAITS + from, "deploy");
}

/** A deploy has ended: those who wait are told in the same commit. @param error Why the device has not taken it */
export function tellEnd(record: DeviceRecord, error: LocalError | undefined): void {
  for (const key of waiting(record)) {
    record.reply(key.slice(WAITS.length), error ? failure(error) : DONE);
    record.setMemo(key, undefined);
  }
}
