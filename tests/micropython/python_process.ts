/**
 * A Python program in a process of its own that a test can kill: usually a device, `device.py`.
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
  /** Only with a key. Default: 2. */
  suite?: 2 | 3;
  id?: string;
  dialect?: 1 | 2;
  /** In ms. */
  timeout?: number;
  /** A file. */
  memory?: string;
  /** How many messages it writes, and the number of the first. */
  messages?: number;
  first?: number;
  window?: number;
  /** Pause between two of them, in ms. */
  pause?: number;
  /** In ms. */
  expires?: number;
  /** After this text it asks for no more messages. */
  holds?: string;
  /** File with a certificate that it trusts; it uses TLS then. */
  ca?: string;
  /** WiFi is up while this file exists. */
  wifi?: string;
}

/** A process that runs until it ends or is killed. */
export class PythonProcess implements AsyncDisposable {
  /** The lines that it printed. */
  readonly said: string[] = [];
  /** Its stderr. */
  trouble = "";
  readonly ended: Promise<void>;
  readonly #process: Deno.ChildProcess;

  /** @param interpreter The interpreter's path. */
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

  /** Starts a device. */
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

  /** The rest of each line that starts with this word: "got", "sent", "late". */
  all(word: string): string[] {
    return this.said.filter((line) => line.startsWith(`${word} `))
      .map((line) => line.slice(word.length + 1));
  }

  /** Kills it with SIGKILL, if it still runs. */
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
