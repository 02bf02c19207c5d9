/** Controls a process that runs tests with mutants (`runner.ts`). */
import { ONE_AT_A_TIME } from "../support/own_process.ts";

/** A test: its place, its duration, and how often it executes which mutants. */
export interface Measured {
  file: string;
  /** Its index among the file's tests. */
  index: number;
  name: string;
  ms: number;
  /** Its processor time in ms, which is less than its duration on a busy machine. */
  cost: number;
  passes: Record<string, number>;
  /** It fails without any change. */
  error?: string;
}

/** A question to the runner: to measure a file, or to run tests and worlds of the simulator with an active mutant. */
export interface Question {
  file?: string;
  mutant?: string;
  /** The core's source, if the mutant is one of the core. */
  core?: string;
  /** Worlds of the simulator to run after the tests. */
  seeds?: number;
  /** With the usual duration of each, and the limit after which it does not end, in ms. */
  tests: { file: string; index: number; ms: number; limit: number }[];
  /** A mutant that is executed more often than this has made an endless loop. */
  mostPasses: number;
}

/** The runner's answer. */
export interface Answer {
  measured?: Measured[];
  /** Mutants that are executed while the file is loaded. */
  loading?: string[];
  fate?: "killed" | "endless" | "hung" | "found by the simulator" | "survived" | "does not compile";
  /** The test that found it. */
  by?: string;
  why?: string;
  /** The error was uncaught, so it may come from another mutant. */
  isStray?: boolean;
}

const MARK = "\n@mutation ";

/**
 * Time limits in ms after which a mutant is blocking the event loop: for starting on a busy machine, for each world of
 * the simulator, and for all tests of a measured file.
 */
const PATIENCE = 60_000;
const WORLD = 1000;
const MEASURING = 600_000;

/** The process. */
export class TestProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #heard = "";

  /** @param asleep If given, this mutant is active from the start, while files are loaded. */
  constructor(folder: string, asleep?: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "tests/mutation/runner.ts"],
      cwd: folder,
      env: {
        NO_COLOR: "1",
        [ONE_AT_A_TIME]: "1", // otherwise some would start another process, in which no mutant is active
        ...(asleep && { __STRYKER_ACTIVE_MUTANT__: asleep }),
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** @returns undefined: it has ended, or hangs */
  async ask(question: Question): Promise<Answer | undefined> {
    const { file, tests, seeds = 0 } = question;
    // After a test that does not end, no others run.
    const longest = Math.max(0, ...tests.map(({ limit }) => limit));
    const usual = tests.reduce((sum, { ms }) => sum + ms, 0);
    const patience = PATIENCE + 3 * usual + longest + seeds * WORLD + (file ? MEASURING : 0);
    const timer = setTimeout(() => this.#kill(), patience);
    try {
      await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(question)}\n`));
      for (;;) {
        const at = this.#heard.indexOf(MARK);
        const end = at < 0 ? -1 : this.#heard.indexOf("\n", at + 1);
        if (end >= 0) {
          const answer = JSON.parse(this.#heard.slice(at + MARK.length, end));
          this.#heard = this.#heard.slice(end);
          return answer;
        }
        const { done, value } = await this.#reader.read();
        if (done) return undefined;
        this.#heard += value;
      }
    } catch {
      return undefined; // it has ended
    } finally {
      clearTimeout(timer);
    }
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.#child.status;
    await this.#reader.cancel();
    await this.#writer.abort().catch(() => {});
  }
}
