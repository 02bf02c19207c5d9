/** Runs tests, and worlds of the simulator, with one mutant awake. */
import type { Mutant } from "./tree.ts";

/** Tests that need nothing but this process and its files; the fast ones first. */
const TESTS = ["server", "tests/vectors"];

/** Beyond so many times its usual duration, and so many ms, a test hangs: mutants often cause endless loops. */
const PATIENCE = { times: 5, ms: 10_000 };

/** A test file: how long it takes, and which mutants it passes. */
export interface TestFile {
  name: string;
  ms: number;
  passes: Set<string>;
}

/** What became of a mutant. "hung": a test found it, by never ending. */
export type Fate = "killed" | "hung" | "found by the simulator" | "survived" | "passed by no test";

/** @returns all test files of the tree, below a folder of it */
export async function testFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (path: string) => {
    for await (const { name, isDirectory } of Deno.readDir(`${folder}/${path}`)) {
      if (isDirectory) await walk(`${path}/${name}`);
      else if (name.endsWith("_test.ts")) found.push(`${path}/${name}`);
    }
  };
  for (const path of TESTS) await walk(path);
  return found.sort();
}

/** Runs a test file with all mutants asleep. @throws {Error} with its output, if it fails */
export async function measure(folder: string, name: string): Promise<TestFile> {
  const file = await Deno.makeTempFile({ prefix: "holdfast-mutation-" });
  try {
    const begun = performance.now();
    const { ended, output } = await run(folder, testArgs([name]), {
      HOLDFAST_MUTANTS_PASSED: file,
    });
    if (ended !== 0) throw new Error(`${name} fails without any change:\n${output}`);
    const ms = performance.now() - begun;
    return { name, ms, passes: new Set(JSON.parse(await Deno.readTextFile(file))) };
  } finally {
    await Deno.remove(file);
  }
}

/** Tries a mutant. @param seeds Worlds to play if no test finds it. */
export async function attempt(
  folder: string,
  { id }: Mutant,
  files: readonly TestFile[],
  seeds: number,
): Promise<Fate> {
  const passing = files.filter(({ passes }) => passes.has(id)).sort((a, b) => a.ms - b.ms);
  const awake = { __STRYKER_ACTIVE_MUTANT__: id };
  for (const { name, ms } of passing) {
    const limit = ms * PATIENCE.times + PATIENCE.ms;
    const { ended } = await run(folder, testArgs([name], "--fail-fast"), awake, limit);
    if (ended === undefined) return "hung";
    if (ended !== 0) return "killed";
  }
  if (seeds > 0) {
    const args = ["run", "-A", "--no-check", "tests/sim/main.ts"];
    const { ended } = await run(
      folder,
      args.concat("--jobs", "1", "--seeds", `${seeds}`),
      awake,
      seeds * 1000,
    );
    if (ended !== 0) return "found by the simulator";
  }
  return passing.length > 0 ? "survived" : "passed by no test";
}

function testArgs(names: string[], ...more: string[]): string[] {
  return ["test", "-A", "--no-check", "--preload", "tests/mutation/coverage.ts", ...more, ...names];
}

/** Runs deno. @returns the exit code, undefined if it had to be stopped; and what it printed */
async function run(
  folder: string,
  args: string[],
  env: Record<string, string>,
  limit = 600_000,
): Promise<{ ended: number | undefined; output: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: folder,
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let stopped = false;
  const timer = setTimeout(() => {
    stopped = true;
    child.kill("SIGKILL");
  }, limit);
  try {
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder();
    return { ended: stopped ? undefined : code, output: text.decode(stdout) + text.decode(stderr) };
  } finally {
    clearTimeout(timer);
  }
}
