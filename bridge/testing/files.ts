/** Files that a simulated machine keeps. */
import fs from "node:fs";
import { tmpdir } from "node:os";

/** A file system in memory, if there is one. */
const MEMORY = "/dev/shm";

/** A folder for the files of one world. It is created with the first file. */
export class Folder implements Disposable {
  #path: string | undefined;
  #files = 0;

  /** The path of a file that does not exist yet. */
  next(): string {
    this.#path ??= fs.mkdtempSync(`${fs.existsSync(MEMORY) ? MEMORY : tmpdir()}/holdfast-sim-`);
    return `${this.#path}/${++this.#files}.db`;
  }

  [Symbol.dispose](): void {
    if (this.#path !== undefined) fs.rmSync(this.#path, { recursive: true });
  }
}

/** Copies an SQLite database, with its log. */
export function copyDatabase(from: string, to: string): void {
  for (const end of ["", "-wal"]) {
    if (fs.existsSync(from + end)) fs.copyFileSync(from + end, to + end);
  }
}

/** Removes an SQLite database. */
export function removeDatabase(path: string): void {
  for (const end of ["", "-wal", "-shm"]) fs.rmSync(path + end, { force: true });
}
