/**
 * `deno task sim`: the real server and the real clients in simulated worlds with every kind of fault. `promises.ts`
 * says what must hold nevertheless.
 *
 * @module
 */
import { type Explored, shares } from "./exhaustive.ts";
import { plant } from "./mutants.ts";
import { MUTATIONS } from "./mutations.ts";
import { HELP, type Options, parse } from "./options.ts";
import { Pool } from "./pool.ts";
import { Progress } from "./progress.ts";
import { playFleetSeed, playSeed } from "./run.ts";
import { addSummary, describeSummary, emptySummary, type Summary } from "./summary.ts";

/** Seeds in a worker's batch. */
const BATCH = 50;

/** Number of violations after which no more seeds are run. */
const ENOUGH = 10;

/** Runs a range of seeds, or as many of them as there is time for until `stop`. */
export async function playRange(
  { from, seeds, jobs, fleet = false }:
    & Pick<Options, "from" | "seeds" | "jobs">
    & Partial<Pick<Options, "fleet">>,
  say: (line: string) => void,
  stop?: AbortSignal,
): Promise<Summary> {
  const sum = emptySummary();
  using pool = new Pool(Math.min(jobs, Math.ceil(seeds / BATCH)));
  using progress = new Progress(seeds);
  let next = from;
  const play = async () => {
    while (next < from + seeds && sum.found.length < ENOUGH && !stop?.aborted) {
      const first = next;
      next += BATCH;
      const count = Math.min(BATCH, from + seeds - first);
      const part = await pool.play({ from: first, count, stops: false, fleet });
      for (const { seed, violation } of part.found) {
        say(
          `seed ${seed}: ${violation}\n  replay: deno task sim ${
            fleet ? "--fleet " : ""
          }--seed ${seed} --trace`,
        );
      }
      addSummary(sum, part);
      progress.show(sum.seeds, `seeds, ${sum.found.length} violations`);
    }
  };
  await Promise.all(Array.from({ length: pool.size }, play));
  return sum;
}

/** How soon a known bug was found. */
export interface Sighting {
  name: string;
  /** Seeds run until then; undefined: not found. */
  after: number | undefined;
  violation: string;
}

/** Switches known bugs on, one at a time, and runs seeds until they are found. */
export async function hunt(
  { from, limit, only, jobs }: Pick<Options, "from" | "limit" | "only" | "jobs">,
  found: (sighting: Sighting) => void,
): Promise<Sighting[]> {
  const sightings: Sighting[] = [];
  const waiting = MUTATIONS.filter(({ name }) => name.includes(only));
  const total = waiting.length;
  using progress = new Progress(total);
  const next = async () => {
    for (let mutation; (mutation = waiting.shift()) !== undefined;) {
      const { name, fleet } = mutation;
      await using tree = await plant(mutation);
      using pool = new Pool(1, tree.worker);
      const { seeds, found: [first] } = await pool.play({
        from,
        count: limit,
        stops: true,
        fleet,
      });
      const sighting = {
        name,
        after: first ? seeds : undefined,
        violation: first?.violation.split("\n")[0] ?? "",
      };
      progress.clear();
      found(sighting);
      sightings.push(sighting);
      progress.show(sightings.length, "bugs");
    }
  };
  await Promise.all(Array.from({ length: jobs }, next));
  return sightings;
}

/** Runs the small world with every fault, and with every two faults, at every step. */
export async function exploreAll(depth: 1 | 2, jobs: number): Promise<Explored> {
  const waiting = shares(depth);
  const total = waiting.length;
  using pool = new Pool(jobs);
  using progress = new Progress(total);
  const sum: Explored = { runs: 0, found: [] };
  const next = async () => {
    for (let share; (share = waiting.shift()) !== undefined;) {
      const { runs, found } = await pool.explore(share);
      sum.runs += runs;
      sum.found.push(...found);
      progress.show(total - waiting.length, `steps, ${sum.runs} runs`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, next));
  return sum;
}

/** The result for people, for programs, and whether it is good. */
interface Result {
  line: string;
  data: unknown;
  isGood: boolean;
}

type Say = (line: string) => void;

async function trace({ from, fleet }: Options, say: Say): Promise<Result> {
  const { violation, time, messages } = await (fleet ? playFleetSeed : playSeed)(from, {
    log: say,
  });
  const line = violation === undefined ? "ok" : `VIOLATION ${violation}`;
  return { line, data: { seed: from, violation, time, messages }, isGood: violation === undefined };
}

async function mutations(options: Options, say: Say): Promise<Result> {
  const sightings = await hunt(options, ({ name, after, violation }) => {
    const result = after === undefined ? "NOT FOUND" : `found after ${after}`;
    say(
      `${result.padEnd(18)} ${name}${violation && `\n${" ".repeat(21)}${violation.slice(0, 100)}`}`,
    );
  });
  const found = sightings.filter(({ after }) => after !== undefined).length;
  const isGood = found === sightings.length && found > 0;
  return { line: `${found} of ${sightings.length} known bugs found`, data: sightings, isGood };
}

async function exhaustive({ jobs }: Options, say: Say): Promise<Result> {
  const { runs, found } = await exploreAll(2, jobs);
  for (const line of found.slice(0, ENOUGH)) say(line);
  const verdict = found.length === 0 ? "ok" : `${found.length} VIOLATIONS`;
  const isGood = found.length === 0;
  return { line: `${verdict} | ${runs} runs`, data: { runs, violations: found }, isGood };
}

async function range(options: Options, say: Say): Promise<Result> {
  const begun = performance.now();
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort()); // and report what was done
  const sum = await playRange(options, say, stop.signal);
  const seconds = (performance.now() - begun) / 1000;
  const isGood = sum.found.length === 0;
  return { line: describeSummary(sum, seconds), data: { ...sum, seconds }, isGood };
}

async function main(options: Options): Promise<boolean> {
  const { json, mode } = options;
  const say: Say = json ? console.error : console.log;
  const play = { trace, mutations, exhaustive, seeds: range }[mode];
  const { line, data, isGood } = await play(options, say);
  console.log(json ? JSON.stringify(data) : line);
  return isGood;
}

if (import.meta.main) {
  let options: Options | "help";
  try {
    options = parse(Deno.args);
  } catch (error) {
    console.error(`sim: ${(error as Error).message}\n\n${HELP}`);
    Deno.exit(2);
  }
  if (options === "help") console.log(HELP);
  else Deno.exit(await main(options) ? 0 : 1);
}
