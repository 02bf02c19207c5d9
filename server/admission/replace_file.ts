/** Replaces a small file so that it is never half of one, whatever happens meanwhile. */
import { dirname } from "node:path";

/** So long one process waits for another to finish, in ms. */
const PATIENCE = 2000;

/** The calls that make a file safe on a disk. */
export interface Disk {
  /** Creates a file for its owner alone. @throws {Deno.errors.AlreadyExists} */
  create(path: string): DiskFile;
  rename(from: string, to: string): void;
  /** Makes what was renamed in a folder outlive a loss of power. */
  syncFolder(path: string): void;
}

/** A file that is written. */
export interface DiskFile extends Disposable {
  writeSync(bytes: Uint8Array): number;
  syncSync(): void;
}

export const realDisk: Disk = {
  create: (path) => Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }),
  rename: Deno.renameSync,
  syncFolder(path) {
    if (Deno.build.os === "windows") return; // it opens no folders
    using folder = Deno.openSync(path);
    folder.syncSync();
  },
};

/** Somebody else replaces the file, or was interrupted. */
export class Occupied extends Error {}

/**
 * Gives a file another content. Whoever reads it meanwhile, or after a loss of power, finds the old one or the new
 * one. It keeps its owner and mode, and a link to it stays a link.
 *
 * @param use Makes the new content of the old one; undefined: there is no file yet. Two at a time never do.
 * @throws {Occupied}
 * @throws {Error} the system's, or what `use` throws: nothing has changed then
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
    file.syncSync(); // the name must not lead to what the disk does not have yet
    disk.rename(draft, real);
  } catch (error) {
    Deno.removeSync(draft);
    throw error;
  }
  disk.syncFolder(dirname(real));
}

/** A file that is there. */
interface Place {
  /** Without symbolic links. */
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

/** Creates the file that the new content is written to. As long as it is there, no one else replaces the old one. */
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
