/**
 * Imitates what a kill or a power cut leaves of an `SqliteStore`'s files, while the store is still open in this
 * process.
 *
 * @module
 */

/** A store's files: the database, and the log (WAL) that belongs to it. */
export interface Image {
  db: Uint8Array<ArrayBuffer>;
  log: Uint8Array<ArrayBuffer>;
}

/**
 * What a kill would leave now, including every commit that has returned. On a disk of its own (/dev/shm)
 * this costs some 10 µs and a copy of the bytes.
 *
 * Reading a file drops this process's lock on it (as POSIX locks do), so no other process may use the path.
 */
export function image(path: string): Image {
  return { db: Deno.readFileSync(path), log: readIfThere(`${path}-wal`) };
}

/** Writes the files of a store. */
export function restore(path: string, { db, log }: Image): void {
  Deno.writeFileSync(path, db);
  Deno.writeFileSync(`${path}-wal`, log);
}

/** The range of the log that was written between two images of a store, in bytes. */
export interface Tear {
  /** Where the difference begins. */
  from: number;
  /** Where the difference ends. */
  to: number;
}

/** Where a commit has written, from images before and after it; undefined: nowhere. */
export function tear(before: Image, after: Image): Tear | undefined {
  const [a, b] = [before.log, after.log];
  let from = 0;
  while (from < b.length && a[from] === b[from]) from++;
  if (from === b.length) return undefined;
  let to = b.length;
  while (to <= a.length && a[to - 1] === b[to - 1]) to--;
  return { from, to };
}

/**
 * What a power cut leaves while the log is written between two images: the bytes before `at` are new, those from there
 * on are old. The database itself is unchanged, because it is only touched when the log is on the disk.
 */
export function torn(before: Image, after: Image, at: number): Image {
  const log = new Uint8Array(Math.max(at, before.log.length));
  log.set(before.log);
  log.set(after.log.subarray(0, at));
  return { db: before.db, log };
}

/**
 * Closes a store as if its process had been killed: without a checkpoint, the files stay as they are now.
 *
 * SQLite moves its log into the database when it closes it, unless the database was renamed meanwhile: then it cannot
 * tell whose log it is.
 */
export function abandon(store: { readonly path: string; close(): Promise<void> }): Promise<void> {
  const moved = `${store.path}.abandoned`;
  Deno.renameSync(store.path, moved);
  const closed = store.close(); // which does everything synchronously
  Deno.renameSync(moved, store.path);
  return closed;
}

function readIfThere(path: string): Uint8Array<ArrayBuffer> {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array(0);
    throw error;
  }
}
