/** The command line of the simulator. */
import { parseArgs } from "node:util";

export const HELP = `deno task sim [options]

  --seeds COUNT  how many seeds to run  (2000)
  --from FIRST   the first of them  (1)
  --seed N       only this one; with --trace, line by line
  --trace        print what happens in it, the same each time
  --fleet        run worlds with several servers on one store, which have seeds of their own
  --exhaustive   run instead a small world with every fault, and every two faults, at every step
  --mutations    instead, switch known bugs on, one at a time, and show how soon each is found
  --limit COUNT  seeds after which a bug counts as not found  (10000)
  --only TEXT    with --mutations: only bugs whose names contain this
  --jobs N       workers  (one for each processor)
  --json         the result as JSON on stdout; everything else on stderr
  --help         this text

Exit code: 0 if everything that is promised held (with --mutations: if every bug was found), 1 if not,
2 for wrong options.`;

export interface Options {
  mode: "seeds" | "trace" | "exhaustive" | "mutations";
  from: number;
  seeds: number;
  limit: number;
  only: string;
  jobs: number;
  json: boolean;
  fleet: boolean;
}

/** @throws {Error} with a message for the user */
export function parse(args: string[]): Options | "help" {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: "string", default: "2000" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      trace: { type: "boolean", default: false },
      fleet: { type: "boolean", default: false },
      exhaustive: { type: "boolean", default: false },
      mutations: { type: "boolean", default: false },
      limit: { type: "string", default: "10000" },
      only: { type: "string", default: "" },
      jobs: { type: "string", default: String(navigator.hardwareConcurrency) },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { exhaustive, mutations, trace, seed } = values;
  if (exhaustive && mutations) throw new Error("--exhaustive and --mutations exclude each other");
  if (trace && seed === undefined) throw new Error("--trace needs --seed");
  return {
    mode: exhaustive ? "exhaustive" : mutations ? "mutations" : trace ? "trace" : "seeds",
    from: number("--seed", seed ?? values.from, 0),
    seeds: seed === undefined ? number("--seeds", values.seeds, 1) : 1,
    limit: number("--limit", values.limit, 1),
    only: values.only,
    jobs: number("--jobs", values.jobs, 1),
    json: values.json,
    fleet: values.fleet,
  };
}

function number(name: string, text: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= Number.MAX_SAFE_INTEGER) return value;
  throw new Error(`${name} must be a whole number from ${least} on, not ${JSON.stringify(text)}`);
}
