/**
 * `deno task mutation`: finds lines that no test checks.
 *
 * @module
 */
import { HELP, type Options, parse } from "./options.ts";
import { CORE, coreMutants } from "./core_mutants.ts";
import { describeChange, Explanations } from "./explanations.ts";
import { type Mutant, plant, type Tree } from "./tree.ts";
import { Results, SURVIVED } from "./results.ts";
import { CLIENT_TESTS, CORE_TESTS, type Fate, SERVER_TESTS, Trials } from "./trials.ts";

async function main(): Promise<number> {
  let options: Options | "help";
  let results: Results;
  let explanations: Explanations;
  try {
    options = parse(Deno.args);
    if (options === "help") {
      console.log(HELP);
      return 0;
    }
    // A changed server that copies files once replaced /dev/null.
    if (Deno.uid() === 0 && !options.list) {
      throw new Error("not as root: a changed server may do anything");
    }
    results = await Results.open(options.results);
    explanations = await Explanations.read();
  } catch (error) {
    console.error(`mutation: ${(error as Error).message}\n(--help lists the options)`);
    return 2;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  await using tree = await plant(options.source.filter((path) => path !== CORE));
  const source = await Deno.readTextFile(`${tree.folder}/${CORE}`);
  const ofCore = options.source.includes(CORE) ? await coreMutants(source) : [];
  const chosen = (mutants: readonly Mutant[]) =>
    mutants.filter((mutant, i) => {
      const fate = results.get(mutant)?.fate;
      if (options.survivors) {
        return fate && SURVIVED.includes(fate) && explanations.of(mutant) === undefined;
      }
      return i % options.every === 0 && !fate;
    });
  if (options.list) {
    for (const mutant of [...chosen(tree.mutants), ...chosen(ofCore)]) {
      console.log(describe(mutant));
    }
    return 0;
  }
  const trial = { tree, results, options, stop: stop.signal };
  try {
    const [ofServer = [], ofClient = []] = [/^server\//, /^bridge\//].map((room) =>
      chosen(tree.mutants.filter(({ file }) => room.test(file)))
    );
    await tryAll(trial, SERVER_TESTS, ofServer);
    await tryAll(trial, CLIENT_TESTS, ofClient);
    await tryAll(trial, CORE_TESTS, chosen(ofCore), source);
  } catch (error) {
    if (stop.signal.aborted) return 130;
    console.error(`mutation: ${(error as Error).message}`);
    return 1;
  }
  report([...tree.mutants, ...ofCore], results, explanations);
  return stop.signal.aborted ? 130 : 0;
}

/** Shared by all trials. */
interface Trial {
  tree: Tree;
  results: Results;
  options: Options;
  stop: AbortSignal;
}

async function tryAll(
  { tree, results, options: { jobs, budget, seeds, tests: chosen }, stop }: Trial,
  tests: readonly string[],
  mutants: readonly Mutant[],
  core?: string,
): Promise<void> {
  if (mutants.length === 0) return;
  const told = (what: string) => console.error(`mutation: ${what}`);
  await using trials = new Trials(tree.folder, chosen ?? tests, budget, seeds, stop);
  await trials.measure(jobs, told, core);
  let tried = 0;
  const left = mutants.values();
  const work = async () => {
    await using own = trials.share();
    for (const mutant of left) {
      if (stop.aborted) return;
      const verdict = await own.attempt(mutant);
      if (stop.aborted) return;
      const { core: _, ...change } = mutant;
      await results.add({ ...change, ...verdict });
      if (SURVIVED.includes(verdict.fate)) console.error(`${verdict.fate}: ${describe(mutant)}`);
      if (++tried % 50 === 0) told(`${tried} of ${mutants.length}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

function describe(mutant: Mutant): string {
  const { file, line, kind } = mutant;
  return `${file}:${line} ${kind}: ${describeChange(mutant)}`;
}

function report(
  mutants: readonly Mutant[],
  results: Results,
  explanations: Explanations,
): void {
  const folders = Map.groupBy(mutants, ({ file }) => file.slice(0, file.lastIndexOf("/")));
  for (const [folder, all] of [...folders, ["all", mutants] as const]) {
    const count = (...some: (Fate | undefined)[]) =>
      all.filter((mutant) => some.includes(results.get(mutant)?.fate)).length;
    const there = all.length - count("does not compile");
    const tried = there - count(undefined);
    const survivors = all.filter((mutant) => SURVIVED.includes(results.get(mutant)?.fate as Fate));
    const explained = survivors.filter((mutant) => explanations.of(mutant) !== undefined).length;
    const share = (part: number) => `${(100 * part / tried).toFixed(1)} %`;
    console.log(
      `${folder}: ${tried} of ${there} changes tried, ${share(tried - survivors.length)} found ` +
        `(${count("killed")} by a test, ${count("endless")} as an endless loop, ` +
        `${count("hung")} by a test that hangs, ` +
        `${count("found by the simulator")} by the simulator), ` +
        `${share(explained)} explained, ${survivors.length - explained} neither`,
    );
  }
}

if (import.meta.main) Deno.exit(await main());
