/** The part of the command line that shows what channels are, sets them, and asks devices. */
import { parseArgs } from "node:util";
import { valueOf } from "../protocol/channel_lines.ts";
import { badArgument } from "./arguments.ts";
import type { Give } from "./orders.ts";

const HELP = `Shows the channels of devices, sets them, and asks devices.

Usage: deno run -A server/main.ts state [ID] [--json] --store FILE
       deno run -A server/main.ts set ID/CHANNEL VALUE --store FILE
       deno run -A server/main.ts request ID/CHANNEL [VALUE] [--deadline MS] --store FILE

  state             what each channel is and should be, who has said so and when, and whether the
                    device has it
  set               what a channel should be, from now on; the device is told as soon as it is there
  request           asks the device, waits for its answer, and prints it; the server must run
  VALUE             JSON, or else a text
  --deadline MS     by when it must be answered: otherwise it is never done, or that is unknown (10000)
  --json            as JSON, a line for each channel
  --store FILE      what the server was given as --store
  --help

Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 the device refuses (request), 4 it was not asked in
time, and never will be, 5 it was asked, and has not answered in time.
`;

const COMMANDS = ["state", "set", "request"] as const;

/** Whether these arguments are for `runChannelsCommand`. */
export function isChannelsCommand([command]: string[]): boolean {
  return COMMANDS.some((word) => word === command);
}

/**
 * Runs `state`, `set` or `request` with the arguments behind it.
 *
 * @param give `giveOrStart`'s.
 * @throws {LocalError} BAD_ARGUMENT, UNKNOWN_DEVICE, STORE_UNUSABLE, STORE_FAILED, CLOSED; those of `Thing.request`
 * @throws {TypeError} of `parseArgs`
 */
export async function runChannelsCommand(args: string[], give: Give): Promise<void> {
  const { values: { store, help, json, deadline }, positionals: [word, ...words] } = parseArgs({
    args: quoteNumbers(args),
    allowPositionals: true,
    options: {
      store: { type: "string" },
      json: { type: "boolean", default: false },
      deadline: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (help) return console.log(HELP);
  const command = COMMANDS.find((it) => it === word)!;
  const bad = (message: string) => badArgument(command, message);
  if (!store || store === ":memory:") throw bad(`${command} needs --store FILE`);
  if (deadline !== undefined && (command !== "request" || !/^\d+$/.test(deadline))) {
    throw bad("--deadline takes ms, for request");
  }
  const [place, text] = words;
  if (command === "state") {
    if (words.length > 1) throw bad("state takes one id at most");
    return await give(store, { command, json, ...(place !== undefined && { device: place }) });
  }
  if (place === undefined || words.length > 2 || (command === "set" && text === undefined)) {
    throw bad(`${command} takes ID/CHANNEL ${command === "set" ? "VALUE" : "[VALUE]"}`);
  }
  if (command === "set") return await give(store, { command, place, value: valueOf(text!) });
  await give(store, {
    command,
    place,
    ...(text !== undefined && { value: valueOf(text) }),
    ...(deadline !== undefined && { deadline: Number(deadline) }),
  });
}

/** A value such as -3 is no option: a space before it is none of JSON's. */
function quoteNumbers(args: string[]): string[] {
  return args.map((arg) => /^-\d/.test(arg) ? ` ${arg}` : arg);
}
