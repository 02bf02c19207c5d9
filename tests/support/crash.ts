/**
 * What a kill or a power cut leaves of an `SqliteStore`'s files, while the store that wrote them is still open in this
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
 * What a kill would leave now. After a commit that has returned it has that commit. On a disk of its own (/dev/shm)
 * this costs some 10 µs and a copy of the bytes.
 *
 * To read a file drops the lock that this process has on it (POSIX locks are so), so nothing but this process may be
 * interested in the path.
 */
export function image(path: string): Image {
  return { db: Deno.readFileSync(path), log: readIfThere(`${path}-wal`) };
}

/** Writes the files of a store. */
export function restore(path: string, { db, log }: Image): void {
  Deno.writeFileSync(path, db);
  Deno.writeFileSync(`${path}-wal`, log);
}

/** A difference between two images of a store, in bytes of its log that were written in between. */
export interface Tear {
  /** Where the log begins to differ. */
  from: number;
  /** Where it ends to differ. */
  to: number;
}

/** Where a commit has written, of which these are images before and after. undefined: it was none. */
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
 * What the power leaves if it fails while the log is written between two images: the bytes before `at` are new, those
 * from there on are old. The database itself is as before, as it is touched only when the log is on the disk.
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
 * SQLite moves its log into the database when it closes that, unless the database was renamed meanwhile: then it could
 * no longer tell whose log it is.
 */
export function abandon(store: { readonly path: string; close(): Promise<void> }): Promise<void> {
  const moved = `${store.path}.abandoned`;
  Deno.renameSync(store.path, moved);
  const closed = store.close(); // which does all at once
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
