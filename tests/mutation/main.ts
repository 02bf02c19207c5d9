/**
 * `deno task mutation`: which lines does no test hold?
 *
 * @module
 */
import { HELP, type Options, parse } from "./options.ts";
import { compileMutant, CORE, type CoreMutant, coreMutants } from "./core_mutants.ts";
import { type Mutant, plant, type Tree } from "./tree.ts";
import { CORE_TESTS, type Fate, SERVER_TESTS, Trials, type Verdict } from "./trials.ts";

/** A mutant, and what became of it. */
type Result = Mutant & Verdict;

const SURVIVED: Fate[] = ["survived", "passed by no test"];

/** So many characters of a change are shown. */
const SHOWN = 70;

async function main(): Promise<number> {
  let options: Options | "help";
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`mutation: ${(error as Error).message}\n(--help lists the options)`);
    return 2;
  }
  if (options === "help") {
    console.log(HELP);
    return 0;
  }
  const ofServer = options.source.filter((path) => path !== CORE);
  await using tree = await plant(ofServer);
  const source = await Deno.readTextFile(`${tree.folder}/${CORE}`);
  const ofCore = options.source.includes(CORE) ? await coreMutants(source) : [];
  if (options.list) {
    for (const mutant of [...tree.mutants, ...ofCore]) console.log(describe(mutant));
    return 0;
  }
  const results = await tryAll(tree, SERVER_TESTS, tree.mutants, options, trySleeping);
  results.push(
    ...await tryAll(tree, CORE_TESTS, ofCore, options, (mutant, trials) => {
      return tryCore(source, mutant, trials);
    }),
  );
  if (options.json) console.log(JSON.stringify(results, null, 2));
  else report(results);
  return 0;
}

/** One that lies in the tree, and is awakened there. */
function trySleeping(mutant: Mutant, trials: Trials): Promise<Verdict> {
  return trials.attempt(mutant);
}

/** @returns undefined: it does not compile, so it is none */
async function tryCore(
  source: string,
  mutant: CoreMutant,
  trials: Trials,
): Promise<Verdict | undefined> {
  let core: Uint8Array;
  try {
    core = await compileMutant(source, mutant);
  } catch {
    return undefined;
  }
  return await trials.attempt(mutant, core);
}

async function tryAll<Any extends Mutant>(
  { folder }: Tree,
  tests: readonly string[],
  mutants: readonly Any[],
  { jobs, seeds, budget, every }: Options,
  attempt: (mutant: Any, trials: Trials) => Promise<Verdict | undefined>,
): Promise<Result[]> {
  if (mutants.length === 0) return [];
  await using trials = new Trials(folder, tests, budget, seeds);
  await trials.measure((what) => console.error(`mutation: ${what}`));
  const results: Result[] = [];
  const left = mutants.values().filter((_, i) => i % every === 0);
  const work = async () => {
    await using own = trials.share();
    for (const mutant of left) {
      const verdict = await attempt(mutant, own);
      if (!verdict) continue;
      results.push({ ...mutant, ...verdict });
      if (SURVIVED.includes(verdict.fate)) console.error(`${verdict.fate}: ${describe(mutant)}`);
      if (results.length % 50 === 0) {
        console.error(`mutation: ${results.length} of ${Math.ceil(mutants.length / every)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return results.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

function describe({ file, line, kind, before, after }: Mutant): string {
  return `${file}:${line} ${kind}: ${brief(before)} -> ${brief(after)}`;
}

function brief(code: string): string {
  const text = code.replaceAll(/\s+/g, " ");
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

function report(results: readonly Result[]): void {
  const folders = Map.groupBy(results, ({ file }) => file.slice(0, file.lastIndexOf("/")));
  for (const [folder, all] of [...folders, ["all", results] as const]) {
    const count = (...fates: Fate[]) => all.filter(({ fate }) => fates.includes(fate)).length;
    const found = all.length - count(...SURVIVED);
    console.log(
      `${folder}: ${all.length} mutants, ${(100 * found / all.length).toFixed(1)} % found ` +
        `(${count("killed")} by a test, ${count("endless")} as an endless loop, ` +
        `${count("hung")} by a test that hangs, ` +
        `${count("found by the simulator")} by the simulator)`,
    );
  }
}

if (import.meta.main) Deno.exit(await main());
