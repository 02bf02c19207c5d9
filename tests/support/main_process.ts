/**
 * `server/main.ts` as a process of its own, with any arguments.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { LogEntry } from "../../server/mod.ts";
import { until } from "./wait.ts";

export const MAIN = new URL("../../server/main.ts", import.meta.url).pathname;

/** How such a process is started. */
export interface ProcessOptions {
  cwd?: string;
  files?: number;
  main?: string;
  env?: Record<string, string>;
}

/** The server as a process of its own. */
export class Process implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly ended: Promise<Deno.CommandStatus>;
  #child: Deno.ChildProcess;

  /**
   * @param files How many files it may have open; as many as usual by default.
   * @param env Environment variables, in addition to those of the tests, which it inherits.
   * @param main Another program that is started like the server.
   */
  constructor(
    args: string[],
    { cwd, files, main = MAIN, env }: ProcessOptions = {},
  ) {
    // Quiet: only the server may write to stderr; Deno would say there that it waits for another Deno process.
    const deno = [Deno.execPath(), "run", "-q", "-A", "--no-check", main, ...args];
    const limited = ["sh", "-c", `ulimit -n ${files}; exec "$@"`, "sh", ...deno];
    const [program, ...rest] = files === undefined ? deno : limited;
    this.#child = new Deno.Command(program!, {
      args: rest,
      env: { NO_COLOR: "1", ...env },
      ...(cwd === undefined ? {} : { cwd }),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const collect = async (name: "stdout" | "stderr") => {
      const text = this.#child[name].pipeThrough(new TextDecoderStream());
      for await (const piece of text) this[name] += piece;
    };
    this.ended = Promise.all([this.#child.status, collect("stdout"), collect("stderr")])
      .then(([status]) => status);
  }

  get log(): LogEntry[] {
    const lines = this.stderr.slice(0, this.stderr.lastIndexOf("\n") + 1).split("\n");
    return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  logs(event: LogEntry["event"]): Promise<LogEntry> {
    return until(() => this.log.find((entry) => entry.event === event), {
      what: () => `${event} in ${this.stderr}`,
    });
  }

  async port(): Promise<number> {
    const { address } = await this.logs("listening");
    return Number(address!.split(":").at(-1));
  }

  get pid(): number {
    return this.#child.pid;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill("SIGKILL");
    } catch {
      // The process has ended.
    }
    await this.ended;
  }
}

export function start(...args: string[]): Process {
  return new Process(locally(args));
}

/** The same with additional environment variables. */
export function startWith(env: Record<string, string>, ...args: string[]): Process {
  return new Process(locally(args), { env });
}

/** The same for another program with the server's options. */
export function startProgram(main: string, ...args: string[]): Process {
  return new Process(locally(args), { main });
}

function locally(args: string[]): string[] {
  return ["--host", "127.0.0.1", "--port", "0", "--log", "json", ...args];
}

/** Exit code, stdout and stderr of a command. */
export async function run(...args: string[]): Promise<[number, string, string]> {
  await using process = new Process(args);
  const { code } = await process.ended;
  return [code, process.stdout, process.stderr];
}

/** The stdout of a command that must not fail. */
export async function says(...args: string[]): Promise<string> {
  const [code, out, err] = await run(...args);
  assertEquals(code, 0, err);
  return out;
}

/** The exit code of a server that does not start, and its message. */
export async function fails(...args: string[]): Promise<[number, string]> {
  const [code, out, err] = await run(...args);
  assertEquals(out, "");
  return [code, err];
}

/** A folder that is removed at the end of the test. */
export function folder(): Disposable & { path: string } {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}
