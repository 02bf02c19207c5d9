/**
 * `deno task fuzz`: the firmware's fuzzers, for as long as wanted.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type Fuzzer, FUZZERS, keptIn, Trial } from "./fuzzers.ts";

const HELP = `deno task fuzz [options] [NAMES]

  --seconds N  for each fuzzer, 1 to 1000000  (60)
  --keep       add the inputs that reach something new to tests/firmware/fuzz/corpus
  --list       instead: the fuzzers there are
  --help       this text

NAMES: some of the fuzzers, without fuzz_ (all). It needs clang (Debian: clang, libclang-rt-14-dev).
An input that finds something is added to the corpus in any case: the tests play it from then on.

Exit code: 0 if nothing was found, 1 if something was, 2 for wrong options.`;

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "60" },
      keep: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const seconds = /^\d+$/.test(values.seconds) ? Number(values.seconds) : NaN;
  if (!(seconds >= 1 && seconds <= 1_000_000)) {
    throw new Error(`--seconds takes a whole number from 1 to 1000000, not "${values.seconds}"`);
  }
  const unknown = positionals.find((name) => !FUZZERS.some((it) => it.name === `fuzz_${name}`));
  if (unknown !== undefined) throw new Error(`there is no fuzzer "${unknown}": --list has them`);
  const fuzzers = FUZZERS.filter(({ name }) =>
    positionals.length === 0 || positionals.includes(name.slice("fuzz_".length))
  );
  return { ...values, seconds, fuzzers };
}

async function main(): Promise<number> {
  let options;
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`fuzz: ${(error as Error).message}\n(--help has the options)`);
    return 2;
  }
  const { seconds, fuzzers, keep, list, help } = options;
  if (help) {
    console.log(HELP);
    return 0;
  }
  if (list) {
    for (const { name, about } of FUZZERS) console.log(`${name.slice(5).padEnd(10)}${about}`);
    return 0;
  }
  let found = false;
  for (const fuzzer of fuzzers) found = await fuzz(fuzzer, seconds, keep) || found;
  return found ? 1 : 0;
}

/** @returns whether it has found something */
async function fuzz(fuzzer: Fuzzer, seconds: number, keep: boolean): Promise<boolean> {
  console.log(`fuzz: ${fuzzer.name}: ${fuzzer.about}, ${seconds} s`);
  await using trial = await Trial.compile("clang", fuzzer);
  const { ok, said } = await trial.run([`-max_total_time=${seconds}`, "-artifact_prefix=found-"]);
  const runs = said.match(/number_of_executed_units: (\d+)/)?.[1] ?? "?";
  console.log(`fuzz: ${fuzzer.name}: ${runs} inputs, ${ok ? "nothing found" : "FOUND something"}`);
  await Deno.mkdir(keptIn(fuzzer), { recursive: true });
  if (!ok) {
    console.log(said.slice(-4000));
    for await (const { name } of Deno.readDir(trial.folder)) {
      if (!name.startsWith("found-")) continue;
      await Deno.copyFile(`${trial.folder}/${name}`, `${keptIn(fuzzer)}/${name}`);
      console.log(`fuzz: kept as ${keptIn(fuzzer)}/${name}`);
    }
  } else if (keep) {
    // As few as reach all that they reach together.
    const { said } = await trial.run(["-merge=1"], [keptIn(fuzzer), trial.corpus]);
    console.log(
      `fuzz: ${said.match(/MERGE-OUTER: \d+ new files.*/)?.[0] ?? "nothing new to keep"}`,
    );
  }
  return !ok;
}

if (import.meta.main) Deno.exit(await main());
