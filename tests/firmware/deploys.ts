/**
 * `deno task deploys`: deploys one application after the other to an emulated chip, each with a fault of the chip or
 * the server. See `deploying.ts`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { Random } from "../support/random.ts";
import { deployAll } from "./deploying.ts";

const HELP = `deno task deploys [options]

  --count N    how many applications, 1 to 100000                (200)
  --seed N     the seed of the applications and the faults         (a random one)
  --help       this text

Each one takes some five seconds. It needs what \`deno task firmware\` needs, and QEMU.

Exit code: 0 if the right application ran each time, 1 if not, 2 for wrong options.`;

function whole(name: string, text: string, least: number, most: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  throw new Error(`--${name} takes a whole number from ${least} to ${most}, not "${text}"`);
}

async function main(): Promise<number> {
  let count: number, seed: number;
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: {
        count: { type: "string", default: "200" },
        seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    count = whole("count", values.count, 1, 100_000);
    seed = whole("seed", values.seed, 0, 2 ** 31);
  } catch (error) {
    console.error(`deploys: ${(error as Error).message}\n(--help has the options)`);
    return 2;
  }
  console.log(`seed ${seed}`);
  try {
    await deployAll(count, new Random(seed), (line) => console.log(line));
  } catch (error) {
    console.error(`FAILED, with --seed ${seed}: ${(error as Error).stack}`);
    return 1;
  }
  console.log(`${count} deploys: the right application ran each time.`);
  return 0;
}

if (import.meta.main) Deno.exit(await main());
