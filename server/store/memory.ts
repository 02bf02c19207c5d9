import { FencedError } from "./store.ts";
import type { Acquired, Batch, Change, DeviceState, KnownDevice, Store, Work } from "./store.ts";

/** A device's token and state. */
interface Kept {
  state: DeviceState;
  token: number;
}

/** Without a database there are no statements, so no work is ever refused. */
const NONE: ReadonlyMap<Work, unknown> = new Map();

const SAFE = Promise.resolve(NONE);

/**
 * Keeps everything in memory: it outlives a `Server`, but not the process.
 *
 * It keeps a device's live state, so a commit copies nothing and costs the same for one message and for a thousand.
 * So it also has uncommitted changes. They do no harm: a record is consistent whenever none of its methods is
 * running, and a commit to memory cannot fail.
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
    // The former owner may still change its live state.
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
    let others: Change[] | undefined; // devices whose state it does not have yet
    for (const change of changes) {
      const kept = this.#devices.get(change.id);
      if (kept && kept.token !== change.token) throw new FencedError(change.id);
      if (kept?.state !== change.state || change.removed) (others ??= []).push(change);
    }
    if (!others) return;
    for (const { id, state, token, removed } of others) {
      if (removed) this.#devices.delete(id);
      else this.#devices.set(id, { state, token });
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
