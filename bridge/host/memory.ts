/**
 * A file that stands for a chip's RTC memory: where a client has got to in its server's stream, so that a
 * restarted process takes each message once. Sixteen bytes: a mark, the two words, and their sum.
 */
import { LocalError } from "../../server/errors.ts";
import type { Position } from "./core.ts";

const MARK = 0x48464d31; // "HFM1"

export class PositionFile implements Disposable {
  #file: Deno.FsFile;
  #bytes = new DataView(new ArrayBuffer(16));

  /** Opens or makes the file. @throws {LocalError} BAD_ARGUMENT if it cannot, or it is something else */
  constructor(readonly path: string) {
    try {
      this.#file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause;
      throw new LocalError("BAD_ARGUMENT", `the memory ${path}: ${cause.message}`, { cause });
    }
    const { size } = this.#file.statSync();
    if (size === 0 || (size === 16 && this.#read())) return;
    this.#file.close();
    throw new LocalError(
      "BAD_ARGUMENT",
      `${path} is no memory of a client, or damaged. Without it, messages may come twice: delete it to go on`,
    );
  }

  /** What was kept last; undefined in a new file. */
  get position(): Position | undefined {
    if (this.#bytes.getUint32(0) !== MARK) return undefined;
    return { epoch: this.#bytes.getUint32(4), next: this.#bytes.getUint32(8) };
  }

  #read(): boolean {
    this.#file.readSync(new Uint8Array(this.#bytes.buffer));
    const { epoch, next } = this.position ?? { epoch: 0, next: 0 };
    return this.position !== undefined && this.#bytes.getUint32(12) === sum(epoch, next);
  }

  /** Keeps a position, in one write. */
  keep({ epoch, next }: Position): void {
    for (const [i, word] of [MARK, epoch, next, sum(epoch, next)].entries()) {
      this.#bytes.setUint32(i * 4, word);
    }
    this.#file.seekSync(0, Deno.SeekMode.Start);
    this.#file.writeSync(new Uint8Array(this.#bytes.buffer));
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function sum(epoch: number, next: number): number {
  return Math.imul(epoch ^ MARK, 2654435761) + next >>> 0;
}
