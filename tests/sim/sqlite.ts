/** The real `SqliteStore` on files, beside the rows of the simulated disk: both must have the same content. */
import { SqliteStore } from "../../server/store/sqlite/sqlite.ts";
import type {
  Acquired,
  Batch,
  RowWriter,
  SqlInput,
  SqlRow,
  Work,
} from "../../server/store/store.ts";
import { copyDatabase, type Folder, removeDatabase } from "../../bridge/testing/files.ts";
import { Disk } from "./disk.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Random } from "../../bridge/testing/random.ts";
import { CREATE } from "./statements.ts";

/** Precision of times in a file, in ms: each process that opens it rounds. */
const ROUNDED = 20;

const NOTHING = new Uint8Array(0);

export class SqliteDisk extends Disk {
  #path: string;
  #store: SqliteStore | undefined;
  #log = new Log(); // as it was before the last commit

  constructor(readonly folder: Folder) {
    super();
    this.#path = folder.next();
  }

  /** A process opens the file. */
  override open(platform: SimPlatform): void {
    this.#store = new SqliteStore(this.#path, { durability: "normal", clock: platform });
    const { older } = this.#store;
    if (older) throw new Violation(`the file is said to be old: ${older}`);
    const work: Work = { statements: [{ sql: CREATE, params: [] }] };
    this.#store.commit({
      works: [work],
      // Devices that the world has created are new to it.
      changes: () =>
        this.devices.entries().filter(([, { isMadeUp }]) => isMadeUp).map(([id, rows]) => {
          rows.isMadeUp = false;
          const state = this.stateOf(id, 0)!;
          const write = (to: RowWriter) => to.positions(state.positions, state.sent);
          return { id, token: 0, state, removed: false, write };
        }),
    });
  }

  override empty(): Disk {
    return new SqliteDisk(this.folder);
  }

  override copy(): Disk {
    const disk = new SqliteDisk(this.folder);
    this.copyTo(disk);
    copyDatabase(this.#path, disk.#path);
    // The current commit is not in the rows yet.
    if (this.isCommitting) tear(`${disk.#path}-wal`, this.#log.bytes, () => 0);
    return disk;
  }

  override async acquire(id: string, acquired: Acquired): Promise<Acquired> {
    const real = await this.#store!.acquire(id);
    const [left, right] = [acquired, real].map(({ state }) => JSON.stringify(state, timeless));
    acquired.state?.outbox.forEach(({ written, expires = 0 }, i) => {
      const { written: kept = NaN, expires: end = 0 } = real.state?.outbox[i] ?? {};
      if (Math.abs(kept - written) < ROUNDED && Math.abs(end - expires) < ROUNDED) return;
      throw new Violation(
        `the file has a message of ${id} that was written ${written - kept} ms late, ` +
          `or expires ${expires - end} ms late`,
      );
    });
    if (left !== right) throw new Violation(`the file has ${right} of ${id}, and not ${left}`);
    return real;
  }

  override async fence(id: string): Promise<number> {
    return (await this.#store!.acquire(id)).token;
  }

  override async commit(batch: Batch, expected: ReadonlyMap<Work, unknown>): Promise<void> {
    this.#log.follow(`${this.#path}-wal`);
    const refused = await this.#store!.commit(batch);
    for (const work of batch.works) {
      if (refused.has(work) === expected.has(work)) continue;
      throw new Violation(`SQLite has refused a transaction, or should have: ${refused.get(work)}`);
    }
  }

  override async query(sql: string, params: readonly SqlInput[]): Promise<SqlRow[]> {
    const known = this.tables.query(sql, ...params);
    if (this.isCommitting) return known; // the file already has more
    const real = await this.#store!.query(sql, params, "all");
    const [left, right] = [known, real].map((rows) => JSON.stringify(rows));
    if (left !== right) throw new Violation(`${sql} finds ${right} in the file, and not ${left}`);
    return real;
  }

  /**
   * The process is killed; the next one finds the file as it was left.
   *
   * @param cut Draws how much of the last commit has reached the log; undefined: all.
   */
  override die(cut: Random | undefined): boolean {
    const path = this.folder.next();
    copyDatabase(this.#path, path);
    const isTorn = cut !== undefined && tear(`${path}-wal`, this.#log.bytes, (n) => cut.below(n));
    this.close();
    removeDatabase(this.#path);
    this.#path = path;
    this.#log = new Log();
    return isTorn;
  }

  override close(): void {
    this.#store?.close();
    this.#store = undefined;
  }
}

/** Sizes in a write-ahead log, in bytes: see https://sqlite.org/fileformat2.html#walformat. */
const HEADER = 32;
const FRAME = 24 + 4096;

/**
 * A copy of SQLite's log, updated without reading all of it again: committed frames stay until the log restarts, which
 * changes its salts.
 */
class Log {
  #copy = NOTHING;
  #size = 0;
  #salts = "";
  /** End of the last commit in the log with these salts. */
  #end = 0;

  get bytes(): Uint8Array {
    return this.#copy.subarray(0, this.#size);
  }

  follow(path: string): void {
    if (!exists(path)) return;
    using file = Deno.openSync(path);
    this.#resize(file.statSync().size);
    if (this.#salts === "") this.#read(file, 0, this.#size);
    else this.#read(file, 0, Math.min(HEADER, this.#size));
    const salts = this.#saltsAt(16);
    if (salts !== this.#salts) this.#end = HEADER;
    this.#salts = salts;
    for (let place = this.#end; place + FRAME <= this.#size; place += FRAME) {
      this.#read(file, place, FRAME);
      if (this.#saltsAt(place + 8) !== salts) return;
      const isCommit = this.#copy.subarray(place + 4, place + 8).some((byte) => byte !== 0);
      if (isCommit) this.#end = place + FRAME;
    }
  }

  #resize(size: number): void {
    if (size > this.#copy.length) {
      const copy = new Uint8Array(2 * size);
      copy.set(this.#copy);
      this.#copy = copy;
    }
    this.#size = size;
  }

  #read(file: Deno.FsFile, place: number, length: number): void {
    file.seekSync(place, Deno.SeekMode.Start);
    for (let n = 0; n < length;) {
      n += file.readSync(this.#copy.subarray(place + n, place + length)) ?? length;
    }
  }

  #saltsAt(place: number): string {
    return this.#copy.subarray(place, place + 8).join();
  }
}

/** The file has a message's time and deadline in whole ms, and its own clock as well. */
function timeless(name: string, value: unknown): unknown {
  return name === "written" || name === "expires" ? undefined : value;
}

/**
 * Tears the last commit in the log: removes a part of what was appended, or, if the log was restarted, of what
 * overwrote frames that are in the file by now. Returns whether there is anything to remove.
 */
export function tear(path: string, before: Uint8Array, below: (n: number) => number): boolean {
  const after = read(path);
  let first = 0;
  while (first < before.length && before[first] === after[first]) first++;
  let last = after.length;
  while (last > first && last <= before.length && before[last - 1] === after[last - 1]) last--;
  if (last === first) return false;
  const cut = first + below(last - first);
  const torn = new Uint8Array(Math.max(cut, before.length));
  torn.set(before);
  torn.set(after.subarray(0, cut));
  Deno.writeFileSync(path, torn);
  return true;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

export function read(path: string): Uint8Array<ArrayBuffer> {
  return exists(path) ? Deno.readFileSync(path) : NOTHING;
}
