/** A process that runs tests with mutants awake (`runner.ts`), seen from outside. */

/** A test: where it is, how long it takes, and how often it passes which mutants. */
export interface Measured {
  file: string;
  /** Among the file's tests. */
  index: number;
  name: string;
  ms: number;
  /** Of those it has the processor, in ms: on a busy machine that is less. */
  cost: number;
  passes: Record<string, number>;
  /** It fails without any change. */
  error?: string;
}

/** What the runner is asked: to measure a file, or to run tests and worlds of the simulator with a mutant awake. */
export interface Question {
  file?: string;
  mutant?: string;
  /** The mutant is one of the core: its source. */
  core?: string;
  /** Worlds of the simulator to play after the tests. */
  seeds?: number;
  /** With the ms that each takes, and after which it does not end. */
  tests: { file: string; index: number; ms: number; limit: number }[];
  /** A mutant that is passed more often than that has made a loop without an end. */
  mostPasses: number;
}

/** What it answers. */
export interface Answer {
  measured?: Measured[];
  /** Mutants that are passed while the file is loaded. */
  loading?: string[];
  fate?: "killed" | "endless" | "hung" | "found by the simulator" | "survived" | "does not compile";
  /** The test that has found it. */
  by?: string;
  why?: string;
  /** Nobody had caught the error: perhaps it is another mutant's. */
  isStray?: boolean;
}

const MARK = "\n@mutation ";

/**
 * Beyond this many ms, enough to start on a busy machine, and this many for each world of the simulator and for all tests of a file that is measured, a mutant
 * holds up the event loop itself.
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

  /** @param asleep Otherwise this mutant is awake from the start, while files are loaded. */
  constructor(folder: string, asleep?: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "tests/mutation/runner.ts"],
      cwd: folder,
      env: { NO_COLOR: "1", ...(asleep && { __STRYKER_ACTIVE_MUTANT__: asleep }) },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** @returns undefined: it has ended, or holds still */
  async ask(question: Question): Promise<Answer | undefined> {
    const { file, tests, seeds = 0 } = question;
    // One test that does not end is the last one.
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
