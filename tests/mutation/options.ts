/** The command line of the mutation test. */
import { parseArgs } from "node:util";
import { CORE } from "./core_mutants.ts";

export const HELP = `deno task mutation [options] [files and folders]

Makes one small change of the source after the other, and runs the tests that execute the changed place.
If all of them pass, the change has survived: no test checks that line.

  --jobs N     changes tried at the same time  (one for each processor)
  --seeds N    seeds of the simulator, for changes that survive the tests; 0: none  (300)
  --budget MS  processor time for the tests of one change, as measured without it  (8000)
  --tests P    only these files and folders of tests, with commas: starts sooner, finds less
  --every N    only each Nth change: a sample  (1)
  --results F  add each result to this file, as a line of JSON, and skip those that are there: a stopped run
               continues. A change is identified by its file and text, wherever it is there now
  --survivors  retry only the survivors in --results, except those that tests/mutation/survivors.txt explains
  --list       instead, list the changes that would be tried
  --help       this text

Files and folders of the source: those whose code is changed (server/link server/protocol
server/admission server/runtime server/store server/channels client-as/assembly/core.ts). The tests that
run are those that execute the place and are likely to find something, within --budget: those beside the
file, in its folder, and fast ones elsewhere. What they miss survives: try it with a larger budget. In
client-as only the core can be changed.

A changed server may do anything to files that its user may: run it as a user of its own, with a copy of
the tree and of node_modules. As root it refuses to start.

Exit code: 0 if it could measure, whatever has survived; 1 if the tests fail without any change, 2 for
wrong options.`;

const ROOT = new URL("../../", import.meta.url);

const ROOMS = ["link", "protocol", "admission", "runtime", "store", "channels"]
  .map((room) => `server/${room}`).concat(CORE);

export interface Options {
  /** Files and folders whose code is changed. */
  source: string[];
  jobs: number;
  /** Processor time of the tests for a change, in ms. */
  budget: number;
  /** Files and folders of tests, instead of all. */
  tests?: string[];
  /** One of this many changes is tried. */
  every: number;
  seeds: number;
  /** The file for results. */
  results?: string;
  /** Only mutants that have survived according to that file, and are not explained. */
  survivors: boolean;
  list: boolean;
}

/** @throws {Error} with a message for the user */
export function parse(args: string[]): Options | "help" {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      jobs: { type: "string", default: String(navigator.hardwareConcurrency) },
      seeds: { type: "string", default: "300" },
      budget: { type: "string", default: "8000" },
      tests: { type: "string" },
      every: { type: "string", default: "1" },
      results: { type: "string" },
      survivors: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { results, survivors, list, tests } = values;
  if (survivors && results === undefined) throw new Error("--survivors needs --results");
  return {
    source: positionals.length > 0 ? positionals.map(checkSource) : ROOMS,
    jobs: number("--jobs", values.jobs, 1),
    budget: number("--budget", values.budget, 1),
    ...(tests !== undefined && { tests: tests.split(",").map(checkThere) }),
    every: number("--every", values.every, 1),
    seeds: number("--seeds", values.seeds, 0),
    ...(results !== undefined && { results }),
    survivors,
    list,
  };
}

function checkSource(path: string): string {
  if (path === CORE) return path;
  if (!/^(server|bridge\/host)(\/|$)/.test(path)) {
    throw new Error(`only files in server/ and bridge/host/, and ${CORE}, can be changed`);
  }
  return checkThere(path);
}

function checkThere(path: string): string {
  try {
    Deno.statSync(new URL(path, ROOT));
  } catch {
    throw new Error(`there is no ${path}`);
  }
  return path;
}

function number(name: string, text: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= Number.MAX_SAFE_INTEGER) return value;
  throw new Error(`${name} must be a whole number from ${least} on, not ${JSON.stringify(text)}`);
}
