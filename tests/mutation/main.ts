/**
 * `deno task mutation`: which lines does no test hold?
 *
 * @module
 */
import { HELP, type Options, parse } from "./options.ts";
import { type Mutant, plant } from "./tree.ts";
import { attempt, type Fate, measure, type TestFile, testFiles } from "./trials.ts";

/** A mutant, and what became of it. */
type Result = Mutant & { fate: Fate };

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
  await using tree = await plant(options.source);
  if (options.list) {
    for (const mutant of tree.mutants) console.log(describe(mutant));
    return 0;
  }
  const files: TestFile[] = [];
  for (const name of await testFiles(tree.folder)) {
    console.error(`mutation: ${name}`);
    try {
      files.push(await measure(tree.folder, name));
    } catch (error) {
      console.error((error as Error).message);
      return 1;
    }
  }
  const results = await tryAll(tree.folder, tree.mutants, files, options);
  if (options.json) console.log(JSON.stringify(results, null, 2));
  else report(results);
  return 0;
}

async function tryAll(
  folder: string,
  mutants: readonly Mutant[],
  files: readonly TestFile[],
  { jobs, seeds }: Options,
): Promise<Result[]> {
  const results: Result[] = [];
  const left = mutants.values();
  const work = async () => {
    for (const mutant of left) {
      const fate = await attempt(folder, mutant, files, seeds);
      results.push({ ...mutant, fate });
      if (SURVIVED.includes(fate)) console.error(`${fate}: ${describe(mutant)}`);
      if (results.length % 50 === 0) {
        console.error(`mutation: ${results.length} of ${mutants.length}`);
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
        `(${count("killed")} by a test, ${count("hung")} by a test that hangs, ` +
        `${count("found by the simulator")} by the simulator)`,
    );
  }
}

if (import.meta.main) Deno.exit(await main());
