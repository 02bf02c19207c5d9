/**
 * Runs tests one by one in this process, with another mutant awake each time: to start a process for each takes longer
 * than most tests do. Asked on stdin, answers on stdout, each a line of JSON; what tests print goes by.
 *
 * @module
 */
import process from "node:process";
import { compileCore } from "./core_mutants.ts";
import type { Answer, Measured, Question } from "./test_process.ts";

/** Begins an answer. */
const MARK = "@mutation ";

/** What the instrumenter's code throws when the mutant that is awake was passed more often than `hitLimit`. */
const HIT_LIMIT = "Hit count limit reached";

/** What a core throws that was compiled with mutants, when a loop in it has no end. */
const UNREACHABLE = /^RuntimeError: unreachable/;

/** Where the tree's `coreModule` looks first. */
const cores = globalThis as { holdfastCore?: WebAssembly.Module };

/** What the instrumenter's code looks at. */
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
/** An error that was not caught. */
let stray: { error: unknown } | undefined;

Object.defineProperty(Deno, "test", {
  value: (first: string | Test, fn?: Test["fn"]) =>
    void loading.push(typeof first === "string" ? { name: first, fn: fn! } : first),
});

function catchStray(event: ErrorEvent | PromiseRejectionEvent): void {
  if (event.defaultPrevented) return; // it was meant for somebody else
  event.preventDefault();
  stray ??= { error: event instanceof ErrorEvent ? event.error : event.reason };
}

/** To be told after all others. */
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

/** @returns what it fails with; undefined: nothing; null: it does not end */
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
    await new Promise((resolve) => setTimeout(resolve, 0)); // what it has left comes to light
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
      failed = { error }; // to load it fails
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

/** Plays worlds of the simulator. @returns what is found in one of them */
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
