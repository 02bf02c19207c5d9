/**
 * A program in Python in a process of its own, to be killed: most often a device, `device.py`.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { PACKAGE, program } from "./interpreters.ts";

/** See `device.py`. */
export interface DeviceSettings {
  port: number;
  servers?: string | string[];
  key?: string;
  /** Of a key; 2 if it is not said. */
  suite?: 2 | 3;
  id?: string;
  dialect?: 1 | 2;
  /** In ms. */
  timeout?: number;
  /** A file. */
  memory?: string;
  /** How many it writes, and the number of the first. */
  messages?: number;
  first?: number;
  window?: number;
  /** Between two of them, in ms. */
  pause?: number;
  /** In ms. */
  expires?: number;
  /** At this text it stops to ask for more. */
  holds?: string;
  /** A certificate that it trusts: TLS. */
  ca?: string;
  /** While this file is there, there is WiFi. */
  wifi?: string;
}

/** Runs from its beginning to its end, or until it is killed. */
export class PythonProcess implements AsyncDisposable {
  /** Its lines. */
  readonly said: string[] = [];
  /** What it has said in errors. */
  trouble = "";
  readonly ended: Promise<void>;
  readonly #process: Deno.ChildProcess;

  /** @param interpreter Its path. */
  constructor(interpreter: string, args: string[]) {
    this.#process = new Deno.Command(interpreter, {
      args,
      env: { PYTHONDONTWRITEBYTECODE: "1", PYTHONUNBUFFERED: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.ended = this.#read();
  }

  /** A device. */
  static device(interpreter: string, settings: DeviceSettings): PythonProcess {
    const args = [program("device.py"), PACKAGE, JSON.stringify(settings)];
    return new PythonProcess(interpreter, args);
  }

  async #read(): Promise<void> {
    const { stdout, stderr, status } = this.#process;
    const lines = stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    await Promise.all([
      (async () => {
        for await (const line of lines) this.said.push(line);
      })(),
      (async () => {
        for await (const text of stderr.pipeThrough(new TextDecoderStream())) this.trouble += text;
      })(),
    ]);
    await status;
  }

  /** What follows a word in its lines: "got", "sent", "late". */
  all(word: string): string[] {
    return this.said.filter((line) => line.startsWith(`${word} `))
      .map((line) => line.slice(word.length + 1));
  }

  /** With SIGKILL, if it still runs. */
  async kill(): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error; // it has ended
    }
    await this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
