/** Copies all devices of a store into another one, of the same or another kind. */
import { LocalError } from "../protocol/errors.ts";
import type { Acquired, Change, DeviceState, RowWriter, Store } from "./store.ts";

/** A change that writes the whole state of a device that the store does not know. */
class WholeDevice implements Change {
  readonly removed = false;

  constructor(readonly id: string, readonly token: number, readonly state: DeviceState) {}

  write(rows: RowWriter): void {
    const { positions, sent, inbox, outbox, heard, deadLetters = [], memos = [] } = this.state;
    rows.positions(positions, sent);
    for (const [i, text] of inbox.entries()) rows.received(positions.processed + i, text);
    for (const [i, it] of outbox.entries()) rows.written(sent - outbox.length + i, it);
    for (const [id, noted] of heard) rows.heard(id, noted);
    for (const letter of deadLetters) rows.deadLetterAdded(letter);
    for (const [key, text] of memos) rows.memo(key, text);
  }
}

/** How many devices are read at a time. */
const AT_ONCE = 200;

/**
 * Copies devices, positions, messages, dead letters and memos in one commit: all or nothing. This takes charge of all
 * devices, so a server that has them cannot change them any more. Tables of applications are not copied.
 *
 * @param progress Called with the number of devices read, and of all.
 * @returns how many devices were copied
 * @throws {LocalError} BAD_ARGUMENT: the other store is not empty; STORE_FAILED, STORE_UNUSABLE: from either store
 */
export async function copyDevices(
  from: Store,
  to: Store,
  progress: (read: number, all: number) => void = () => {},
): Promise<number> {
  const there = await to.list();
  if (there.length > 0) {
    const message = `the destination must be empty, but has devices: ${there.length}`;
    throw new LocalError("BAD_ARGUMENT", message);
  }
  const ids = (await from.list()).map(({ id }) => id);
  const devices: WholeDevice[] = [];
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const some = ids.slice(at, at + AT_ONCE);
    const take = (store: Store): Promise<Acquired[]> =>
      Promise.all(some.map((id) => store.acquire(id)));
    const [read, made] = await Promise.all([take(from), take(to)]);
    for (const [i, id] of some.entries()) {
      const { state } = read[i]!;
      if (state) devices.push(new WholeDevice(id, made[i]!.token, state));
    }
    progress(at + some.length, ids.length);
  }
  await to.commit({ works: [], changes: () => devices });
  return devices.length;
}
