/**
 * A sketch in a process of its own, like a board that can be reset at any time.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";

/** A board with a sketch on it. */
export class Sketch implements AsyncDisposable {
  /** The lines that it printed, in order. */
  readonly lines: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #ended = false;
  #killed = false;

  /** @param onLine Called with each of its lines */
  constructor(program: string, env: Record<string, string>, onLine?: (line: string) => void) {
    this.#process = new Deno.Command(program, {
      env,
      stdin: env.HOLDFAST_STDIN ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = env.HOLDFAST_STDIN ? this.#process.stdin.getWriter() : undefined;
    const follow = async (output: ReadableStream<Uint8Array<ArrayBuffer>>, tell = onLine) => {
      const lines = output.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
      for await (const line of lines) {
        this.lines.push(line);
        tell?.(line);
      }
    };
    this.#reading = Promise.all([
      follow(this.#process.stdout),
      follow(this.#process.stderr, () => {}),
      this.#process.status.then(() => this.#ended = true),
    ]);
  }

  /** Whether its program has ended. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /** @throws {Error} if its program ended by itself */
  check(): void {
    if (this.#ended && !this.#killed) throw new Error(`the sketch has ended: ${this.story}`);
  }

  /** Sends its board a command: see standin.cpp. */
  say(command: string): void {
    // If the program has ended, `check` throws.
    this.#input!.write(new TextEncoder().encode(`${command}\n`)).catch(() => {});
  }

  /** Its last lines. */
  get story(): string {
    return this.lines.slice(-40).join("\n");
  }

  /** Resets the board at once. Resolves when all its output has been read. */
  async kill(): Promise<void> {
    this.check();
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#killed = true;
    if (!this.#ended) this.#process.kill("SIGKILL");
    await this.#reading;
    await this.#input?.abort().catch(() => {}); // the pipe is closed already
  }
}
