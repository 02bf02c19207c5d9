import { FencedError } from "./store.ts";
import type { Acquired, Batch, Change, DeviceState, KnownDevice, Store, Work } from "./store.ts";

/** Who has a device, and what is kept of it. */
interface Kept {
  state: DeviceState;
  token: number;
}

/** Nothing is ever refused here: who has no database cannot be given a statement. */
const NONE: ReadonlyMap<Work, unknown> = new Map();

const SAFE = Promise.resolve(NONE);

/**
 * Keeps everything in memory: it outlives a `Server`, but not the process.
 *
 * It keeps a device's live state, so a commit copies nothing: it costs the same for one message and for a thousand.
 * What a server has changed without a commit is in it too. That is as good as a commit that has come a little early:
 * a record is consistent whenever no method of it is running, and a commit to memory cannot fail.
 */
export class MemoryStore implements Store {
  readonly gathers: boolean = false;
  #devices = new Map<string, Kept>();
  #tokens = 0;

  list(): Promise<KnownDevice[]> {
    const list = Array.from(this.#devices, ([id, { state: { inbox, outbox } }]) => {
      return { id, inbox: inbox.length, outbox: outbox.length };
    });
    return Promise.resolve(list);
  }

  acquire(id: string): Promise<Acquired> {
    const token = ++this.#tokens;
    const kept = this.#devices.get(id);
    if (!kept) return Promise.resolve({ state: undefined, token });
    kept.token = token;
    // Whoever had the device so far may go on changing what is theirs.
    kept.state = structuredClone(kept.state);
    return Promise.resolve({ state: structuredClone(kept.state), token });
  }

  commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>> {
    try {
      this.#commit(batch.changes(NONE));
      return SAFE;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #commit(changes: Iterable<Change>): void {
    let others: Change[] | undefined; // those whose state it does not have yet
    for (const change of changes) {
      const kept = this.#devices.get(change.id);
      if (kept && kept.token !== change.token) throw new FencedError(change.id);
      if (kept?.state !== change.state) (others ??= []).push(change);
    }
    if (!others) return;
    for (const { id, state, token } of others) this.#devices.set(id, { state, token });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
