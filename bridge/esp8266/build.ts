/**
 * `deno task firmware`: compiles the firmware for a board.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { BuildError } from "./errors.ts";
import { buildSim } from "./boards/sim/build.ts";

const ROOT = new URL("../../", import.meta.url);

const HELP = `Compiles the firmware for a board.

Usage: deno task firmware [options]

  --board NAME   sim: for QEMU, needs only Debian's packages; nonos: for the chip          (sim)
  --out FOLDER   where what is built goes                        (bridge/esp8266/build/BOARD)
  --json         says what was built as JSON
  --help

Exit codes: 0 built, 1 it could not be built (the message says what to do), 2 wrong arguments.`;

interface Options {
  board: string;
  out: string;
  json: boolean;
}

function parse(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      board: { type: "string", default: "sim" },
      out: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { board, json, out = new URL(`bridge/esp8266/build/${board}`, ROOT).pathname } = values;
  return { board, json, out };
}

/** The version that deno.json names. */
async function version(): Promise<string> {
  return JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))).version;
}

async function main(): Promise<number> {
  const options = parse(Deno.args);
  if (!options) {
    console.log(HELP);
    return 0;
  }
  const file = await buildSim(options.out, await version());
  console.log(options.json ? JSON.stringify({ board: options.board, file }) : file);
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main();
  } catch (error) {
    if (error instanceof BuildError) console.error(`firmware: ${error.message}`);
    else throw error;
    Deno.exitCode = 1;
  }
}
