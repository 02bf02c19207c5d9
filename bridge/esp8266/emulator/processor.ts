/**
 * QEMU's process: it runs an emulated chip from one start to the next.
 *
 * @module
 */
import { FrameReader } from "./frames.ts";

/** Arguments for `qemu-system-xtensa`: the chip's processor, and nothing but the frames around it. */
export const EMULATOR: readonly string[] =
  "-M sim -cpu lx106 -display none -monitor none -serial none -semihosting".split(" ");

/** The programs to run. */
export interface ProcessorOptions {
  /** The emulator's program. Default: `qemu-system-xtensa`. */
  qemu?: string;
  /** The firmware: an ELF file made by `deno task firmware`. */
  firmware: string;
  /** More arguments for the emulator. */
  arguments?: string[];
}

/** The processor, from a start to its end. */
export class Processor {
  complaints = "";
  readonly ended: Promise<number>;
  #process: Deno.ChildProcess;
  #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  #killed = false;

  constructor(
    { qemu = "qemu-system-xtensa", firmware, arguments: more = [] }: ProcessorOptions,
    handle: (type: string, payload: Uint8Array) => void,
  ) {
    this.#process = new Deno.Command(qemu, {
      args: [...EMULATOR, "-kernel", firmware, ...more],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.ended = this.#run(handle);
  }

  async #run(handle: (type: string, payload: Uint8Array) => void): Promise<number> {
    const frames = new FrameReader();
    const read = async () => {
      for await (const bytes of this.#process.stdout) {
        if (this.#killed) continue; // drops what was left in the pipe
        for (const { type, payload } of frames.push(bytes)) handle(type, payload);
      }
    };
    const listen = async () => {
      const decoder = new TextDecoder();
      for await (const bytes of this.#process.stderr) this.complaints += decoder.decode(bytes);
    };
    const [{ code }] = await Promise.all([this.#process.status, read(), listen()]);
    this.#killed = true;
    await this.#writer.close().catch(() => {}); // the pipe is broken
    return code;
  }

  send(bytes: Uint8Array): void {
    if (!this.#killed) this.#writer.write(bytes as Uint8Array<ArrayBuffer>).catch(() => {});
  }

  kill(): void {
    if (this.#killed) return;
    this.#killed = true;
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // TypeError: the program has already ended
    }
  }
}
