/**
 * A file that stands for a chip's RTC memory: where a client has got to in its server's stream, so that a
 * restarted process takes each message once, and what it has processed beyond that. 32 bytes: a mark, the position,
 * the digest, and a digest of these.
 */
import { createHash } from "node:crypto";
import { LocalError } from "../../server/protocol/errors.ts";
import type { Progress } from "./handout.ts";

const MARK = 0x48464d32; // "HFM2"
const BYTES = 32;
const SUM = 20;

/** Keeps how far a client has got, beyond the end of its process. */
export interface ClientMemory {
  /** What was kept last; undefined if nothing was. */
  readonly kept: Progress | undefined;
  /** Keeps this instead. It is safe when this returns. */
  keep(progress: Progress): void;
  /** The client has ended. */
  close(): void;
}

export class PositionFile implements ClientMemory, Disposable {
  #file: Deno.FsFile;
  #bytes = new DataView(new ArrayBuffer(BYTES));

  /** Opens or makes the file. @throws {LocalError} BAD_ARGUMENT if it cannot, or it is something else */
  constructor(readonly path: string) {
    try {
      this.#file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause;
      throw new LocalError("BAD_ARGUMENT", `the memory ${path}: ${cause.message}`, { cause });
    }
    const { size } = this.#file.statSync();
    if (size === 0 || (size === BYTES && this.#read())) return;
    this.#file.close();
    throw new LocalError(
      "BAD_ARGUMENT",
      `${path} is no memory of a client, or damaged. Without it, messages may come twice: delete it to go on`,
    );
  }

  /** What was kept last; undefined in a new file. */
  get kept(): Progress | undefined {
    if (this.#bytes.getUint32(0) !== MARK) return undefined;
    const position = { epoch: this.#bytes.getUint32(4), next: this.#bytes.getUint32(8) };
    return { position, processed: this.#bytes.getBigUint64(12) };
  }

  #read(): boolean {
    const bytes = new Uint8Array(this.#bytes.buffer);
    this.#file.readSync(bytes);
    const sum = this.#sum();
    return this.kept !== undefined && bytes.subarray(SUM).every((byte, i) => byte === sum[i]);
  }

  /** Keeps it, in one write. */
  keep({ position: { epoch, next }, processed }: Progress): void {
    for (const [i, word] of [MARK, epoch, next].entries()) this.#bytes.setUint32(i * 4, word);
    this.#bytes.setBigUint64(12, processed);
    const bytes = new Uint8Array(this.#bytes.buffer);
    bytes.set(this.#sum(), SUM);
    this.#file.seekSync(0, Deno.SeekMode.Start);
    this.#file.writeSync(bytes);
  }

  #sum(): Uint8Array {
    const bytes = new Uint8Array(this.#bytes.buffer, 0, SUM);
    return createHash("sha256").update(bytes).digest().subarray(0, BYTES - SUM);
  }

  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
