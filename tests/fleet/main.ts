/**
 * `deno task fleet`: three real servers on one real PostgreSQL, with a given number of faults.
 *
 * @module
 */
import { isFaultless } from "../chaos/account.ts";
import { flag, obey, seed, whole } from "../chaos/arguments.ts";
import { POSTGRES, Postgres } from "../support/postgres.ts";
import { locate, type Tools } from "../support/tools.ts";
import { fleet } from "./fleet.ts";

const HELP = `deno task fleet [options]

  --kills N              servers and processes of the database that are killed, stopped or
                         paused, connections that are reset; 0 to 1000000  (200)
  --crashes N            crashes and starts of the database, 0 to 1000000  (20)
  --servers N            servers, 2 to 8                                   (3)
  --devices N            devices that write meanwhile, 1 to 500            (60)
  --seed N               of the faults, 0 to 4294967295                    (a random one)
  --json                 the result as JSON on stdout
  --help                 this text

Exit code: 0 if every message was processed once and answered once, in order; 1 if not, 2 for wrong
options. It needs Debian's package postgresql.`;

/** Timeout in ms, at both ends. */
const TIMEOUT = 1500;

const OPTIONS = {
  kills: whole(0, 1_000_000, 200),
  crashes: whole(0, 1_000_000, 20),
  servers: whole(2, 8, 3),
  devices: whole(1, 500, 60),
  seed: seed(),
  json: flag,
};

if (import.meta.main) {
  Deno.exit(
    await obey("fleet", HELP, OPTIONS, async ({ json, ...options }) => {
      const { kills, crashes, servers, devices, seed } = options;
      const scale = `${servers} servers, ${devices} devices, ${kills} kills, ${crashes} crashes`;
      console.error(`fleet: ${scale}, --seed ${seed}`);
      const { paths, missing } = locate(POSTGRES);
      if (missing.length > 0) throw new Error(`apt install ${missing.join(" ")}`);
      await using database = await Postgres.start(paths as Tools<keyof typeof POSTGRES>);
      const result = await fleet(database, {
        ...options,
        timeout: TIMEOUT,
        progress: ({ faults, kind, processed }) => {
          console.error(`fleet: ${faults} of ${kills + crashes}: ${kind}, ${processed} answers`);
        },
      });
      const { findings, complaints, ...counts } = result;
      if (json) console.log(JSON.stringify(result, undefined, 2));
      else {
        console.log(JSON.stringify(counts, undefined, 2));
        for (const { kind, about } of findings.slice(0, 50)) console.log(`${kind}: ${about}`);
        for (const complaint of complaints.slice(0, 50)) console.log(complaint);
      }
      return isFaultless(result) ? 0 : 1;
    }),
  );
}
