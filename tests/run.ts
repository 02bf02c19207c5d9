/**
 * `deno task test`: the whole quality gate. Prints a line about each step, and stops at the first that fails, with its
 * output. Steps that only read the source run beside the others.
 *
 * @module
 */
import { SANITIZED } from "./support/own_process.ts";

const HELP = `deno task test [options] [files and folders]

  --only STEPS   only these steps, with commas: fmt,lint,check,examples,docs,build,publish,specs,
                 tests
  --filter TEXT  only the Deno tests whose name contains TEXT (or matches /TEXT/)
  --help         this text

Files, folders and --filter choose among the Deno tests, leave the other steps out (except the
build) and show the tests' output. Test files run in parallel, as many as the environment's
DENO_JOBS says; without it, two more than there are processors.`;

/** Many tests wait, and leave their processor to others meanwhile. */
const JOBS = Deno.env.get("DENO_JOBS") ?? String(navigator.hardwareConcurrency + 2);

/**
 * These tests begin first, and then all the others in the order of their names: files that take long and would come
 * last by their names would keep one processor waiting at the end.
 */
const FIRST = ["tests/sim", "tests/pyboard", "tests/npm"];

/** On two cores, idle and kept busy by other programs. */
const DURATION = `The whole gate takes 15 to 40 minutes on two cores, and five minutes without the
tools that .ci/run installs.`;

/** A step that takes longer hangs. */
const STEP_LIMIT_MS = 60 * 60_000;

/** The modules that programs import. */
const FACES = ["server", "bridge/host", "bridge/mqtt", "bridge/testing"].map((room) =>
  `${room}/mod.ts`
);

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Step {
  name: string;
  about: string;
  /** Arguments for deno. */
  args: string[];
  /** It needs only the source: it runs beside the steps that build and test. */
  reads?: true;
  /** For steps that run tests: reads the counts from what they print. */
  count?: (output: string) => Count | undefined;
}

interface Result {
  ok: boolean;
  output: string;
}

/** As-pect's summary: `[Tests]: 3 / 4`. */
function countSpecs(output: string): Count | undefined {
  const [, passed, total] = output.match(/^ *\[Tests\]: (\d+) \/ (\d+)$/m) ?? [];
  if (passed === undefined || total === undefined) return undefined;
  return { passed: Number(passed), failed: Number(total) - Number(passed), skipped: 0 };
}

/** Deno's last line: `ok | 3 passed (2 steps) | 0 failed | 1 ignored (1s)`. */
function countTests(output: string): Count | undefined {
  const line = output.split("\n").findLast((l) => /^(ok|FAILED) \| \d+ passed/.test(l));
  if (line === undefined) return undefined;
  const number = (word: string) => Number(line.match(`(\\d+) ${word}`)?.[1] ?? 0);
  return { passed: number("passed"), failed: number("failed"), skipped: number("ignored") };
}

export const TEST = [
  "test",
  "-A",
  "--doc",
  "--parallel",
  ...SANITIZED,
  `--preload=${import.meta.dirname}/support/failures.ts`,
];

function steps(testArgs: string[]): Step[] {
  return [
    { name: "fmt", about: "format", args: ["fmt", "--check"], reads: true },
    { name: "lint", about: "lint", args: ["lint"], reads: true },
    { name: "check", about: "types", args: ["check"], reads: true },
    {
      name: "examples",
      about: "types of the examples in the docs",
      args: ["check", "--doc-only"],
      reads: true,
    },
    {
      name: "docs",
      about: "public symbols are documented",
      args: ["doc", "--lint", ...FACES],
      reads: true,
    },
    {
      name: "build",
      about: "core builds within its budget",
      args: ["run", "-A", "client-as/build.ts"],
    },
    {
      name: "publish",
      about: "JSR would take the package, with types that need no inference",
      args: ["publish", "--dry-run", "--allow-dirty"],
    },
    {
      name: "specs",
      about: "core's specs",
      args: ["run", "-A", "client-as/spec.ts"],
      count: countSpecs,
    },
    {
      name: "tests",
      about: "Deno tests and the examples in the docs",
      // In the whole gate, types are steps of their own.
      args: [...TEST, ...(testArgs.length > 0 ? testArgs : ["--no-check", ...FIRST, "."])],
      count: countTests,
    },
  ];
}

/** The signal for a step that must stop: Deno then names the tests that have not ended, also one that never waits. */
const STOP = "SIGINT";

/** A step that has not ended this many ms later is killed. */
const GRACE_MS = 10_000;

/** They end the gate, and so its steps: a terminal does not send them to these, which have sessions of their own. */
const ENDS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs deno to its end; both of its outputs as one text, in the order of their arrival. It leaves no process.
 *
 * @param stop Ends it early; it has then failed.
 */
export async function deno(args: string[], stop: AbortSignal): Promise<Result> {
  const mark = `HOLDFAST_STEP_${crypto.randomUUID().replaceAll("-", "")}`;
  const failures = Deno.makeTempFileSync();
  const child = new Deno.Command(Deno.execPath(), {
    args,
    // The counts are read from the text.
    env: { NO_COLOR: "1", DENO_JOBS: JOBS, HOLDFAST_FAILURES: failures, [mark]: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    detached: true, // the leader of a session and a group
  }).spawn();
  let output = "";
  let wasStopped = false;
  let grace: ReturnType<typeof setTimeout> | undefined;
  const end = (why: string) => {
    if (wasStopped) return;
    wasStopped = true;
    output += `\n${why}\n`;
    child.kill(STOP);
    grace = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
  };
  const onSignal = () => end("Ended by a signal.");
  const onStop = () => end("It took too long.");
  for (const signal of ENDS) Deno.addSignalListener(signal, onSignal);
  stop.addEventListener("abort", onStop);
  const collect = async (stream: ReadableStream<BufferSource>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) output += text;
  };
  const settle = () => {
    clearTimeout(grace);
    stop.removeEventListener("abort", onStop);
    for (const signal of ENDS) Deno.removeSignalListener(signal, onSignal);
    killAll(child.pid, mark); // otherwise the outputs, which they may have inherited, would not end
  };
  const [{ success }] = await Promise.all([
    child.status.finally(settle),
    collect(child.stdout),
    collect(child.stderr),
  ]);
  if (wasStopped) output += await Deno.readTextFile(failures);
  await Deno.remove(failures);
  return { ok: success && !wasStopped, output };
}

/**
 * Kills what a step has left: the processes of its group, and those that made a session of their own (PostgreSQL,
 * Chromium, programs at a terminal). These have the variable `mark` in their environment, which is read on Linux only.
 */
function killAll(group: number, mark: string): void {
  const kill = (pid: number) => {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // it has ended
    }
  };
  kill(-group);
  if (Deno.build.os !== "linux") return;
  const isMarked = (pid: number) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/environ`).includes(mark);
    } catch {
      return false; // it has ended, or is another user's
    }
  };
  const marked = () =>
    [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(isMarked);
  for (let left = marked(); left.length > 0; left = marked()) left.forEach(kill); // they may start others meanwhile
}

/** Skipped tests: one line for each remedy that enables some of them; those without a remedy by name. */
export function leftOutOf(output: string): string[] {
  const names = [...output.matchAll(/^(.*) \.\.\. ignored\b/gm)].map(([, name]) => name!);
  const remedyOf = (name: string) => name.match(/ \[(.+)\]$/)?.[1];
  const groups = Map.groupBy(names, (name) => remedyOf(name) ?? name);
  return [...groups].map(([remedy, { length }]) => {
    if (names.includes(remedy)) return `not on this machine: ${remedy}`;
    return `${length} ${length === 1 ? "test" : "tests"}: ${remedy}`;
  }).sort();
}

interface Options {
  only: string[] | undefined;
  testArgs: string[];
}

function parse(args: string[]): Options {
  let only: string[] | undefined;
  const testArgs: string[] = [];
  const value = (option: string, at: number) => {
    const next = args[at];
    if (next === undefined) throw new Error(`${option} needs a value`);
    return next;
  };
  for (let at = 0; at < args.length; at++) {
    const arg = value("", at);
    if (arg === "--only") only = value(arg, ++at).split(",");
    else if (arg === "--filter") testArgs.push(`--filter=${value(arg, ++at)}`);
    else if (arg.startsWith("-")) throw new Error(`unknown option ${arg}`);
    else testArgs.push(arg);
  }
  if (testArgs.length > 0) only ??= ["build", "tests"];
  const names = steps([]).map((step) => step.name);
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`no step ${unknown}: ${names.join(", ")}`);
  if (only?.includes("tests")) only.push("build"); // the tests need its output
  return { only, testArgs };
}

/** Runs the steps; true when all went well. */
async function run({ only, testArgs }: Options): Promise<boolean> {
  const started = performance.now();
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  let output = "";
  if (!only) console.log(`${DURATION}\n`);
  const failed = new AbortController();
  const runStep = async (step: Step) => {
    const start = performance.now();
    const stop = AbortSignal.any([failed.signal, AbortSignal.timeout(STEP_LIMIT_MS)]);
    const result = await deno(step.args, stop);
    if (failed.signal.aborted) return; // it was stopped: another step has failed
    const took = sinceThen(start);
    const count = step.count?.(result.output);
    // Test tools succeed if they find no tests.
    const empty = step.count !== undefined && !(count && count.passed + count.failed > 0);
    const ok = result.ok && !empty;

    const mark = ok ? "ok    " : "FAILED";
    const tally = count ? `, ${count.passed} passed` : "";
    console.log(`${mark} ${step.name.padEnd(8)} ${step.about}${tally} (${took})`);
    if (!ok || (step.name === "tests" && testArgs.length > 0)) console.log(`\n${result.output}`);
    if (result.ok && empty) console.log(`${step.name}: not a single test ran.\n`);

    total.passed += count?.passed ?? 0;
    // A step can fail without a failing test (or before any): that is a failure too.
    total.failed += count?.failed || (ok ? 0 : 1);
    total.skipped += count?.skipped ?? 0;
    output += result.output;
    if (!ok) failed.abort();
  };
  const runAll = async (all: Step[]) => {
    for (const step of all) {
      if (!failed.signal.aborted) await runStep(step);
    }
  };
  const chosen = steps(testArgs).filter(({ name }) => !only || only.includes(name));
  await Promise.all([
    runAll(chosen.filter(({ reads }) => reads)),
    runAll(chosen.filter(({ reads }) => !reads)),
  ]);
  const leftOut = leftOutOf(output);
  if (leftOut.length > 0) {
    console.log(`\nSkipped, and what enables them:\n  ${leftOut.join("\n  ")}`);
  }
  const { passed, skipped } = total;
  const left = skipped > 0 ? `, ${skipped} skipped` : "";
  console.log(`\nIt took ${sinceThen(started)}.`);
  console.log(`${passed} passed, ${total.failed} failed${left}`); // on a line of its own, for programs that parse it
  return !failed.signal.aborted;
}

/** `7.4 s`, or `12 min 5 s`. */
function sinceThen(start: number): string {
  const seconds = (performance.now() - start) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

async function main(): Promise<number> {
  if (Deno.args.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  let options: Options;
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`test: ${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  Deno.chdir(new URL("../", import.meta.url));
  return await run(options) ? 0 : 1;
}

if (import.meta.main) Deno.exitCode = await main();
