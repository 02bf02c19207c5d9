/**
 * `deno task fuzz`: runs the firmware's fuzzers for a given time.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { corpusFile, type Fuzzer, FUZZERS, keep, Trial } from "./fuzzers.ts";

const HELP = `deno task fuzz [options] [NAMES]

  --seconds N  for each fuzzer, 1 to 1000000  (60)
  --keep       add the inputs that reach something new to tests/firmware/fuzz/corpus
  --list       instead, list the fuzzers
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
  const { seconds, fuzzers, keep: keeps, list, help } = options;
  if (help) {
    console.log(HELP);
    return 0;
  }
  if (list) {
    for (const { name, about } of FUZZERS) console.log(`${name.slice(5).padEnd(10)}${about}`);
    return 0;
  }
  let found = false;
  for (const fuzzer of fuzzers) found = await fuzz(fuzzer, seconds, keeps) || found;
  return found ? 1 : 0;
}

/** @returns whether it found something */
async function fuzz(fuzzer: Fuzzer, seconds: number, keeps: boolean): Promise<boolean> {
  console.log(`fuzz: ${fuzzer.name}: ${fuzzer.about}, ${seconds} s`);
  await using trial = await Trial.compile("clang", fuzzer);
  const { ok, said } = await trial.run([`-max_total_time=${seconds}`, "-artifact_prefix=found/"]);
  const runs = said.match(/number_of_executed_units: (\d+)/)?.[1] ?? "?";
  console.log(`fuzz: ${fuzzer.name}: ${runs} inputs, ${ok ? "nothing found" : "FOUND something"}`);
  if (!ok) {
    console.log(said.slice(-4000));
    await keep(fuzzer, await inputs(`${trial.folder}/found`), "found something");
    console.log(`fuzz: the input is in ${corpusFile(fuzzer)}`);
  } else if (keeps) {
    const least = `${trial.folder}/least`;
    await Deno.mkdir(least);
    // The smallest set of inputs that reaches the same code.
    await trial.run(["-merge=1"], [least, trial.corpus]);
    await keep(fuzzer, await inputs(least));
  }
  return !ok;
}

async function inputs(folder: string): Promise<Uint8Array[]> {
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  return await Promise.all(names.map((name) => Deno.readFile(`${folder}/${name}`)));
}

if (import.meta.main) Deno.exit(await main());
