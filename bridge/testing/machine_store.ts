/** A simulated machine's storage: real stores and memories in files, which a kill leaves as they are. */
import {
  type Acquired,
  type Batch,
  type Database,
  type KnownDevice,
  LocalError,
  SqliteStore,
  type Store,
  type StoreClock,
  type Work,
} from "../../server/mod.ts";
import type { ClientMemory, MemoryChange } from "../host/memory.ts";
import { MemoryFile } from "../host/memory_file.ts";
import type { Process } from "./process.ts";

/** Longest time that a commit takes, and longest time until its program is told, in ms. */
const COMMIT_MS = 5;

/** The real store, on a slow disk: the program may be killed before a commit, or before it is told of it. */
export class MachineStore implements Store {
  readonly gathers = true;
  readonly database: Database;
  readonly #store: SqliteStore;
  readonly #process: Process;

  constructor(path: string, clock: StoreClock, process: Process) {
    this.#store = new SqliteStore(path, { durability: "normal", clock });
    this.#process = process;
    this.database = {
      query: (sql, params, most) => this.#later(() => this.#store.query(sql, params, most)),
      check: (sql) => this.#store.check(sql),
    };
  }

  get older(): string | undefined {
    return this.#store.older;
  }

  list(): Promise<KnownDevice[]> {
    return this.#later(() => this.#store.list());
  }

  acquire(id: string): Promise<Acquired> {
    return this.#later(() => this.#store.acquire(id));
  }

  commit(batch: Batch): Promise<ReadonlyMap<Work, unknown>> {
    return this.#later(() => this.#store.commit(batch));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** Does something after a while, and tells its program after another. For a dead program nothing is done. */
  #later<T>(act: () => Promise<T>): Promise<T> {
    const pause = () => {
      const ms = this.#process.world.random.below(COMMIT_MS + 1);
      return new Promise<void>((resolve) => void this.#process.after(ms, resolve));
    };
    return pause().then(act).finally(pause);
  }
}

/** The real memory of a client. It keeps nothing that a dead program writes. */
export class MachineMemory implements ClientMemory {
  readonly #file: MemoryFile;
  readonly #process: Process;
  readonly #life: number;

  constructor(path: string, id: string, process: Process) {
    this.#file = new MemoryFile(path, id);
    this.#process = process;
    this.#life = process.life;
  }

  get kept(): ClientMemory["kept"] {
    return this.#file.kept;
  }

  commit(change: MemoryChange): void {
    if (this.#process.life !== this.#life) throw new LocalError("CLOSED", "the program is dead");
    this.#file.commit(change);
  }

  close(): void {
    this.#file.close();
  }
}
