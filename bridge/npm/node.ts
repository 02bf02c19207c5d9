/**
 * For Node: the functions of Deno, and of JavaScript newer than Node 20, that server and client use. `pack.ts` adds an
 * import of this module where it is needed, and refuses calls that are not here. No globals are changed.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { hostname } from "node:os";
import process from "node:process";

/** Errors of Node's `fs` are not converted: their code says which of Deno's errors they match. */
function withCode(...codes: string[]): { [Symbol.hasInstance](error: unknown): boolean } {
  return {
    [Symbol.hasInstance]: (error) => codes.includes(String((error as { code?: unknown })?.code)),
  };
}

/** A file's handle. */
class FsFile {
  #fd: number | undefined;
  /** Where it reads next. Node's own position cannot be set. */
  #position = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  readSync(bytes: Uint8Array): number | null {
    const length = fs.readSync(this.#open(), bytes, 0, bytes.length, this.#position);
    this.#position += length;
    return length === 0 && bytes.length > 0 ? null : length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const length = await new Promise<number>((resolve, reject) => {
      fs.write(this.#open(), bytes, 0, bytes.length, this.#position, (error, written) => {
        if (error) reject(error);
        else resolve(written);
      });
    });
    this.#position += length;
    return length;
  }

  seekSync(offset: number): void {
    this.#position = offset;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fsync(this.#open(), (error) => error ? reject(error) : resolve());
    });
  }

  syncSync(): void {
    fs.fsyncSync(this.#open());
  }

  close(): void {
    const fd = this.#open();
    this.#fd = undefined;
    fs.closeSync(fd);
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) this.close();
  }

  #open(): number {
    if (this.#fd === undefined) throw new Error("the file is closed");
    return this.#fd;
  }
}

interface OpenOptions {
  read?: boolean;
  write?: boolean;
  createNew?: boolean;
  mode?: number;
}

function openSync(path: string, { read, write, createNew, mode }: OpenOptions = {}): FsFile {
  const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } = fs.constants;
  const access = !write ? O_RDONLY : read ? O_RDWR : O_WRONLY;
  return new FsFile(fs.openSync(path, access | (createNew ? O_CREAT | O_EXCL : 0), mode));
}

function info(stats: fs.Stats) {
  return {
    isFile: stats.isFile(),
    isDirectory: stats.isDirectory(),
    size: stats.size,
    mode: stats.mode,
    ino: stats.ino,
  };
}

/** The part of `Deno` that the package uses. */
export const Deno = {
  build: { os: process.platform === "win32" ? "windows" : process.platform },
  env: { get: (name: string): string | undefined => process.env[name] },
  errors: {
    AlreadyExists: withCode("EEXIST"),
    NotCapable: withCode(), // Node has other permissions, and other errors
    NotFound: withCode("ENOENT"),
    PermissionDenied: withCode("EACCES", "EPERM"),
  },
  SeekMode: { Start: 0 },
  hostname,
  permissions: { querySync: () => ({ state: "granted" }) },
  lstatSync: (path: string) => info(fs.lstatSync(path)),
  open: (path: string, options?: OpenOptions) =>
    Promise.resolve().then(() => openSync(path, options)),
  openSync,
  readDirSync: (path: string) => fs.readdirSync(path).map((name) => ({ name })),
  readFileSync: (path: string | URL): Uint8Array => fs.readFileSync(path),
  readTextFileSync: (path: string | URL): string => fs.readFileSync(path, "utf8"),
  realPathSync: (path: string): string => fs.realpathSync(path),
  removeSync: (path: string): void => fs.rmSync(path),
  renameSync: (from: string, to: string): void => fs.renameSync(from, to),
  statSync: (path: string) => info(fs.statSync(path)),
};

/** The event for a rejection that nobody awaits, as in browsers and Deno. */
interface Rejection {
  readonly reason: unknown;
  preventDefault(): void;
}

/**
 * Calls a listener for rejections that nobody awaits, in the asynchronous context of the promise. If it does not
 * prevent the default, the process ends, as it would without a listener, unless somebody else listens.
 */
export function addEventListener(
  _type: "unhandledrejection",
  listener: (event: Rejection) => void,
): void {
  process.on("unhandledRejection", (reason) => {
    let isPrevented = false;
    listener({ reason, preventDefault: () => isPrevented = true });
    if (!isPrevented && process.listenerCount("unhandledRejection") === 1) throw reason;
  });
}

/** `Promise.withResolvers` of Node 22. */
export function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: PromiseWithResolvers<T>["resolve"];
  let reject!: PromiseWithResolvers<T>["reject"];
  const promise = new Promise<T>((...both) => [resolve, reject] = both);
  return { promise, resolve, reject };
}

/** `Map.groupBy` of Node 21. */
export function groupBy<K, V>(values: Iterable<V>, keyOf: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group) group.push(value);
    else groups.set(key, [value]);
  }
  return groups;
}

/** `RegExp.escape` of Node 24, for use outside of a character class. */
export function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** `Uint8Array.fromHex` of Node 25. */
export function fromHex(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new SyntaxError("it is not hex");
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** `Uint8Array.fromBase64` of Node 25, for base64url. */
export function fromBase64(text: string): Uint8Array {
  if (!/^[\w-]*={0,2}$/.test(text) || text.replace(/=+$/, "").length % 4 === 1) {
    throw new SyntaxError("it is not base64url");
  }
  return new Uint8Array(Buffer.from(text, "base64url"));
}
