/** Runs tests, and worlds of the simulator, with one active mutant. */
import { ONE_AT_A_TIME } from "../support/own_process.ts";
import { Specs } from "./specs.ts";
import { type Measured, type Question, TestProcess } from "./test_process.ts";
import type { Mutant } from "./tree.ts";

/** Folders of tests that only need this process and its files: of the server, of the host client, of the core. */
export const SERVER_TESTS = ["server", "tests/vectors"];
export const CLIENT_TESTS = ["bridge/host", "tests/vectors"];
export const CORE_TESTS = ["tests/vectors"];

/** Tests that import these run the server in another process, in which no mutant is active. */
const ELSEWHERE = /\/(main_process|server_process|syncs)\.ts"/;

/**
 * A test waits for ever if it takes this many times its usual duration plus this many ms; run alone, this many ms
 * longer, because Deno ends a test for which nothing can happen any more.
 */
const PATIENCE = { times: 5, ms: 2000 };

const ALONE = 20_000;

/** A loop is endless if a mutant in it is executed this many times as often as usual, plus this many times. */
const ENDLESS = { times: 100, more: 1_000_000 };

/** Number of found mutants after which the process is replaced, because of what they leave behind. */
const FOUND = 25;

/** The result of a mutant. "endless": it made an endless loop, which every test notices that reaches it; the gate has a
 * limit for those that never yield to the event loop. "hung": a test found it by waiting for ever. "does not compile":
 * it does not count. */
export type Fate =
  | "killed"
  | "endless"
  | "hung"
  | "found by the simulator"
  | "survived"
  | "passed by no test"
  | "does not compile";

/** The result, and what found it. */
export interface Verdict {
  fate: Fate;
  by?: string;
  why?: string;
}

/** All test files below folders of the tree, or these files. */
async function testFiles(folder: string, tests: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const walk = async (path: string) => {
    if (path.endsWith("_test.ts")) {
      if (!ELSEWHERE.test(await Deno.readTextFile(`${folder}/${path}`))) found.push(path);
      return;
    }
    if (!(await Deno.stat(`${folder}/${path}`)).isDirectory) return;
    for await (const { name } of Deno.readDir(`${folder}/${path}`)) await walk(`${path}/${name}`);
  };
  for (const path of tests) await walk(path);
  return found.sort();
}

/** The tests, and the mutants that each executes. */
export class Trials implements AsyncDisposable {
  readonly #tests: Measured[] = [];
  /** Mutants that are executed while files are loaded: they must be active before. */
  readonly #loading = new Set<string>();
  readonly #specs: Specs;
  #process: TestProcess | undefined;
  #found = 0;

  /**
   * @param tests Where these are.
   * @param budget Of the processor, in ms, for those of one mutant together: the likely ones come first.
   * @param seeds Worlds of the simulator for what survives them.
   * @param stop Ends what is under way, without a verdict.
   */
  constructor(
    readonly folder: string,
    readonly tests: readonly string[],
    readonly budget: number,
    readonly seeds: number,
    readonly stop: AbortSignal,
  ) {
    this.#specs = new Specs(folder, stop);
    stop.addEventListener("abort", () => this.#renew());
  }

  /**
   * Runs all tests without an active mutant.
   *
   * @param jobs Files at the same time.
   * @param told Of each file, and of tests that fail, which are left out.
   * @param core Its source, if mutants of it are tried: its specs are run as well.
   * @throws {Error} if these fail
   */
  async measure(jobs: number, told: (what: string) => void, core?: string): Promise<void> {
    const files = (await testFiles(this.folder, this.tests)).values();
    const work = async () => {
      for (const file of files) {
        if (this.stop.aborted) return;
        told(file);
        await this.#measure(file, told);
      }
    };
    await Promise.all(Array.from({ length: jobs }, work));
    if (core === undefined) return;
    told("the core's specs");
    if (!await this.#specs.pass(core)) throw new Error("the core's specs fail without any change");
  }

  async #measure(file: string, told: (what: string) => void): Promise<void> {
    await using process = new TestProcess(this.folder);
    const { measured = [], loading = [] } =
      await process.ask({ file, tests: [], mostPasses: Infinity }) ?? {};
    if (measured.length === 0) told(`${file} is left out: it cannot be loaded, or has no test`);
    for (const test of measured) {
      if (test.error) told(`${file}: ${test.name} is left out: it fails: ${test.error}`);
      else this.#tests.push(test);
    }
    for (const id of loading) this.#loading.add(id);
  }

  /** Shares the measurements with other trials of the same mutants. */
  share(): Trials {
    const trials = new Trials(this.folder, this.tests, this.budget, this.seeds, this.stop);
    trials.#tests.push(...this.#tests);
    for (const id of this.#loading) trials.#loading.add(id);
    return trials;
  }

  /**
   * Tries a mutant: with the tests that execute it, then in worlds of the simulator; the core's also with its specs.
   */
  async attempt(mutant: Mutant): Promise<Verdict> {
    const { id, file, core } = mutant;
    const isLoading = this.#loading.has(id);
    const tests = likely(
      file,
      this.budget,
      // All tests execute the core.
      this.#tests.filter(({ passes }) => core || isLoading || passes[id] !== undefined),
    );
    const usual = Math.max(0, ...tests.map(({ passes }) => passes[id] ?? 0));
    const question: Question = {
      mutant: id,
      ...(core && { core }),
      seeds: this.seeds,
      mostPasses: usual * ENDLESS.times + ENDLESS.more,
      tests: tests.map(({ file, index, ms }) => (
        { file, index, ms, limit: ms * PATIENCE.times + PATIENCE.ms }
      )),
    };
    const isFresh = this.#found === 0;
    let answer;
    if (isLoading) {
      await using process = new TestProcess(this.folder, id);
      answer = await process.ask(question);
    } else {
      answer = await (this.#process ??= new TestProcess(this.folder)).ask(question);
      const isHarmless = answer?.fate === "survived" || answer?.fate === "does not compile";
      if (!isHarmless) this.#found++;
      const isSpent = answer?.fate !== "killed" || answer.isStray || this.#found >= FOUND;
      if (!isHarmless && isSpent) await this.#renew();
      // The error may come from another mutant.
      if (answer?.isStray && !isFresh) return await this.attempt(mutant);
    }
    if (!answer?.fate) return { fate: "endless", why: "the event loop stands still, or has ended" };
    const { fate, by, why } = answer;
    if (fate === "hung" && !core && await this.#endsAlone(id, by!)) {
      return { fate: "killed", by: by! };
    }
    if (fate !== "survived") return { fate, ...(by && { by }), ...(why && { why }) };
    if (core && !await this.#specs.pass(core)) {
      return { fate: "killed", by: "the core's specs" };
    }
    return { fate: tests.length > 0 ? "survived" : "passed by no test" };
  }

  /** Whether a test ends by itself in a process of its own. @param name With its file */
  async #endsAlone(id: string, name: string): Promise<boolean> {
    const [file, test] = name.split(/: (.*)/s) as [string, string];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--filter", test, file],
      cwd: this.folder,
      env: { __STRYKER_ACTIVE_MUTANT__: id, NO_COLOR: "1", [ONE_AT_A_TIME]: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let ends = true;
    const timer = setTimeout(() => {
      ends = false;
      child.kill("SIGKILL");
    }, ALONE);
    const { success } = await child.status;
    clearTimeout(timer);
    return ends && !success;
  }

  async #renew(): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
    this.#process = undefined;
    this.#found = 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#renew();
  }
}

/** The tests that are likely to find something: first those beside the file, then in its folder, then elsewhere; fast
 * ones first. */
function likely(file: string, budget: number, tests: readonly Measured[]): Measured[] {
  const own = file.replace(/\.ts$/, "_test.ts");
  const room = file.split("/").slice(0, 2).join("/") + "/";
  const distance = ({ file }: Measured) => file === own ? 0 : file.startsWith(room) ? 1 : 2;
  let left = budget;
  return tests.toSorted((a, b) => distance(a) - distance(b) || a.cost - b.cost)
    .filter(({ cost }) => cost < left && (left -= cost) > 0);
}
