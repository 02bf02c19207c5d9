/** Replaces a small file atomically, also through crashes and losses of power. */
import { dirname } from "node:path";

/** How long one process waits for another to finish, in ms. */
const PATIENCE = 2000;

/** The calls that write a file durably. */
export interface Disk {
  /** Creates a file that only its owner may access. @throws {Deno.errors.AlreadyExists} */
  create(path: string): DiskFile;
  rename(from: string, to: string): void;
  /** Makes renames in a folder survive a loss of power. */
  syncFolder(path: string): void;
}

/** A file open for writing. */
export interface DiskFile extends Disposable {
  writeSync(bytes: Uint8Array): number;
  syncSync(): void;
}

export const realDisk: Disk = {
  create: (path) => Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }),
  rename: Deno.renameSync,
  syncFolder(path) {
    if (Deno.build.os === "windows") return; // it cannot open folders
    using folder = Deno.openSync(path);
    folder.syncSync();
  },
};

/** Another process is replacing the file, or was interrupted. */
export class Occupied extends Error {}

/**
 * Replaces the contents of a file. Readers find the old or the new contents, also after a loss of power. The file
 * keeps its owner and mode, and a symbolic link to it stays a link.
 *
 * @param use Makes the new contents from the old ones; undefined: there is no file yet. Never runs twice at a
 * time.
 * @throws {Occupied}
 * @throws {Error} from the system or from `use`; then nothing has changed
 */
export async function replaceFile(
  path: string,
  use: (old: string | undefined) => string,
  disk: Disk = realDisk,
): Promise<void> {
  const real = locate(path)?.path ?? path;
  const draft = `${real}.new`;
  using file = await createAlone(draft, disk);
  try {
    const old = locate(path);
    if (old) adopt(draft, old);
    const bytes = new TextEncoder().encode(use(old && Deno.readTextFileSync(real)));
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync(); // on disk before the rename, so that the name never leads to missing data
    disk.rename(draft, real);
  } catch (error) {
    Deno.removeSync(draft);
    throw error;
  }
  disk.syncFolder(dirname(real));
}

/** An existing file. */
interface Place {
  /** With symbolic links resolved. */
  path: string;
  info: Deno.FileInfo;
}

/** Where a file really is; undefined if it is not there yet. */
function locate(path: string): Place | undefined {
  try {
    const real = Deno.realPathSync(path);
    return { path: real, info: Deno.statSync(real) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Creates the file for the new contents. While it exists, no other process replaces the old one. */
async function createAlone(draft: string, disk: Disk): Promise<DiskFile> {
  for (let waited = 0;; waited += 20) {
    try {
      return disk.create(draft);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    if (waited >= PATIENCE) {
      throw new Occupied(
        `is being changed by another command; if none is running, remove ${draft}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Accounts that may read the old file (the server's own, for example) may read the new one. */
function adopt(draft: string, { info: { mode, uid, gid } }: Place): void {
  if (Deno.build.os === "windows") return;
  if (Deno.uid() === 0) Deno.chownSync(draft, uid, gid);
  if (mode !== null) Deno.chmodSync(draft, mode & 0o777);
}
