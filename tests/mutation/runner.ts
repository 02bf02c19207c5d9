/**
 * Runs tests one by one in this process, with another mutant active each time: starting a process for each would take
 * longer than most tests. Questions on stdin, answers on stdout, each a line of JSON; output of tests is ignored.
 *
 * @module
 */
import process from "node:process";
import { compileCore } from "./core_mutants.ts";
import type { Answer, Measured, Question } from "./test_process.ts";

/** Marks an answer. */
const MARK = "@mutation ";

/** The instrumenter's error when the active mutant was executed more often than `hitLimit`. */
const HIT_LIMIT = "Hit count limit reached";

/** The error of a mutated core with an endless loop. */
const UNREACHABLE = /^RuntimeError: unreachable/;

/** The place where the tree's `coreModule` looks first. */
const cores = globalThis as { holdfastCore?: WebAssembly.Module };

/** The state that the instrumenter's code reads. */
interface Stryker {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  mutantCoverage?: {
    static: Record<string, number>;
    perTest: Record<string, Record<string, number>>;
  };
  hitCount?: number;
  hitLimit?: number;
}

interface Test {
  name: string;
  ignore?: boolean;
  fn(context: unknown): unknown;
}

const stryker: Stryker = (globalThis as { __stryker__?: Stryker }).__stryker__ ??= {};
const loaded = new Map<string, Test[]>();
let loading: Test[] = [];
/** An uncaught error. */
let stray: { error: unknown } | undefined;

Object.defineProperty(Deno, "test", {
  value: (first: string | Test, fn?: Test["fn"]) =>
    void loading.push(typeof first === "string" ? { name: first, fn: fn! } : first),
});

function catchStray(event: ErrorEvent | PromiseRejectionEvent): void {
  if (event.defaultPrevented) return; // another listener has handled it
  event.preventDefault();
  stray ??= { error: event instanceof ErrorEvent ? event.error : event.reason };
}

/** Registers behind all other listeners. */
function listen(): void {
  for (const type of ["error", "unhandledrejection"]) {
    removeEventListener(type, catchStray as EventListener);
    addEventListener(type, catchStray as EventListener);
  }
}

async function load(file: string): Promise<Test[]> {
  let tests = loaded.get(file);
  if (tests) return tests;
  tests = loading = [];
  stryker.currentTestId = undefined;
  await import(`../../${file}`);
  loaded.set(file, tests);
  return tests;
}

/** @returns its error; undefined: it passes; null: it does not end */
async function run(
  { ignore, fn }: Test,
  limit: number,
): Promise<{ error: unknown } | null | undefined> {
  if (ignore) return undefined;
  listen();
  stray = undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => timer = setTimeout(resolve, limit, null));
  try {
    const ended = await Promise.race([late, Promise.try(() => fn({})).then(() => undefined)]);
    if (ended === null) return stray ?? null;
    await new Promise((resolve) => setTimeout(resolve, 0)); // errors that it left behind appear
    return stray;
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

async function measure(file: string): Promise<Answer> {
  const coverage = stryker.mutantCoverage ??= { static: {}, perTest: {} };
  coverage.static = {};
  const tests = await load(file);
  const measured: Measured[] = [];
  for (const [index, test] of tests.entries()) {
    stryker.currentTestId = `${index}`;
    coverage.perTest = {};
    const begun = performance.now();
    const before = process.cpuUsage();
    const failed = await run(test, 120_000);
    const { user, system } = process.cpuUsage(before);
    const times = { ms: performance.now() - begun, cost: (user + system) / 1000 };
    const passes = coverage.perTest[index] ?? {};
    const error = failed === null ? "it does not end" : failed && describe(failed.error);
    measured.push({ file, index, name: test.name, ...times, passes, ...(error && { error }) });
  }
  stryker.currentTestId = undefined;
  return { measured, loading: Object.keys(coverage.static) };
}

async function attempt(
  { mutant, core, tests, seeds = 0, mostPasses }: Question,
): Promise<Answer> {
  stryker.activeMutant = mutant;
  if (core !== undefined) {
    try {
      cores.holdfastCore = new WebAssembly.Module(await compileCore(core));
    } catch {
      return { fate: "does not compile" };
    }
  }
  stryker.hitCount = 0;
  stryker.hitLimit = mostPasses;
  for (const { file, index, limit } of tests) {
    let failed;
    try {
      failed = await run((await load(file))[index]!, limit);
    } catch (error) {
      failed = { error }; // loading it fails
    }
    if (failed === undefined) continue;
    const by = { by: `${file}: ${loaded.get(file)?.[index]?.name}` };
    const isEndless = stryker.hitCount > mostPasses || UNREACHABLE.test(String(failed?.error));
    if (isEndless) return { fate: "endless", ...by };
    if (failed === null) return { fate: "hung", ...by };
    return { fate: "killed", ...by, isStray: failed === stray, why: describe(failed.error) };
  }
  if (stryker.hitCount > mostPasses) return { fate: "endless" };
  const why = seeds > 0 ? await play(seeds) : undefined;
  return why === undefined ? { fate: "survived" } : { fate: "found by the simulator", why };
}

/** Runs worlds of the simulator. @returns what is found in one of them */
async function play(seeds: number): Promise<string | undefined> {
  const { playSeed } = await import("../sim/run.ts");
  for (let seed = 1; seed <= seeds; seed++) {
    const { violation } = await playSeed(seed);
    if (violation !== undefined) return `seed ${seed}: ${violation}`;
  }
  return undefined;
}

function describe(error: unknown): string {
  const text = error instanceof Error && error.stack || String(error);
  return text.includes(HIT_LIMIT) ? HIT_LIMIT : text.slice(0, 2000);
}

async function main(): Promise<void> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  let rest = "";
  for await (const piece of lines) {
    const whole = (rest + piece).split("\n");
    rest = whole.pop()!;
    for (const line of whole) {
      const question: Question = JSON.parse(line);
      const { file } = question;
      const answer = file === undefined ? await attempt(question) : await measure(file);
      await Deno.stdout.write(new TextEncoder().encode(`\n${MARK}${JSON.stringify(answer)}\n`));
    }
  }
}

await main();
