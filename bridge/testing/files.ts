/** Files that a simulated machine keeps. */
import fs from "node:fs";
import { tmpdir } from "node:os";

/** Memory that looks like a disk, where there is such a thing. */
const MEMORY = "/dev/shm";

/** A folder for the files of one world. It is made with the first of them. */
export class Folder implements Disposable {
  #path: string | undefined;
  #files = 0;

  /** A file that is not there yet. */
  next(): string {
    this.#path ??= fs.mkdtempSync(`${fs.existsSync(MEMORY) ? MEMORY : tmpdir()}/holdfast-sim-`);
    return `${this.#path}/${++this.#files}.db`;
  }

  [Symbol.dispose](): void {
    if (this.#path !== undefined) fs.rmSync(this.#path, { recursive: true });
  }
}

/** Copies a database of SQLite, of which its log is a part. */
export function copyDatabase(from: string, to: string): void {
  for (const end of ["", "-wal"]) {
    if (fs.existsSync(from + end)) fs.copyFileSync(from + end, to + end);
  }
}

/** Removes a database of SQLite. */
export function removeDatabase(path: string): void {
  for (const end of ["", "-wal", "-shm"]) fs.rmSync(path + end, { force: true });
}
