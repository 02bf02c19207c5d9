/**
 * An initiator in a Python process, as on a Pyboard: `pb_device.py` on the unmodified `pb_link`, or a similar one. It
 * blocks in its pins and its I2C, which are on the testbed.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import type { Testbed } from "./testbed.ts";
import type { Initiator } from "./initiator.ts";

export interface PythonOptions {
  /** The interpreter, and the script with its arguments. */
  command: string;
  args: string[];
  /** Folders in which it finds modules. */
  path: string[];
  heard: string[];
  sent: string[];
}

interface Said {
  heard?: string;
  sent?: string;
  wrote?: string;
  linked?: boolean;
  trouble?: string;
  report?: number[];
}

export class PythonInitiator implements Initiator {
  readonly heard: string[];
  readonly sent: string[];
  readonly told: string[] = [];
  #given = 0;
  #wrote = 0;
  #lines: string[] = [];
  #process: Deno.ChildProcess;
  #commands: WritableStreamDefaultWriter<Uint8Array>;
  #over: Promise<unknown>;
  #killed = false;
  #ended = false;

  constructor(testbed: Testbed, { command, args, path, heard, sent }: PythonOptions) {
    this.heard = heard;
    this.sent = sent;
    const folders = path.join(":");
    this.#process = new Deno.Command(command, {
      args,
      env: {
        HOLDFAST_TESTBED: `${testbed.port}`,
        MICROPYPATH: `${folders}:.frozen`,
        PYTHONPATH: folders,
        PYTHONDONTWRITEBYTECODE: "1",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#commands = this.#process.stdin.getWriter();
    this.#over = Promise.all([
      this.#follow(this.#process.stdout),
      this.#follow(this.#process.stderr),
      this.#process.status.then(() => this.#ended = true),
    ]);
  }

  get pending(): number {
    return this.#given - this.#wrote;
  }

  write(text: string, options: { qos?: boolean } = {}): void {
    this.#given++;
    const line = new TextEncoder().encode(JSON.stringify({ write: text, ...options }) + "\n");
    this.#commands.write(line).catch(() => {}); // `check` throws if it has ended
  }

  check(): void {
    if (this.#ended && !this.#killed) throw new Error(`the initiator has ended:\n${this.story()}`);
  }

  story(): string {
    return [`heard ${this.heard.length}, sent ${this.sent.length}`, ...this.#lines.slice(-30)]
      .join("\n");
  }

  async #follow(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const lines = output.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#lines.push(line);
      if (!line.startsWith('{"')) continue;
      const said: Said = JSON.parse(line);
      if (said.heard !== undefined) this.heard.push(said.heard);
      if (said.sent !== undefined) this.sent.push(said.sent);
      if (said.wrote !== undefined) this.#wrote++;
      if (said.linked !== undefined) this.told.push(said.linked ? "u" : "d");
      if (said.trouble !== undefined) this.told.push(said.trouble === "wifi" ? "b" : "s");
      if (said.report !== undefined) this.told.push(`r${JSON.stringify(said.report)}`);
    }
  }

  /** Cuts its power. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#killed = true;
    if (!this.#ended) this.#process.kill("SIGKILL");
    await this.#commands.abort().catch(() => {});
    await this.#over;
  }
}
