/** The part of the command line that links channels of devices. */
import { parseArgs } from "node:util";
import { badArgument } from "./arguments.ts";
import type { Give } from "./orders.ts";

const HELP =
  `Links channels of devices: what one tells is what another should be. The server runs or not.

Usage: deno run -A server/main.ts connect ID/CHANNEL ID/CHANNEL [MAP] --store FILE
       deno run -A server/main.ts disconnect ID/CHANNEL ID/CHANNEL --store FILE
       deno run -A server/main.ts links [--json] --store FILE

  connect           what the first channel reports or tells as an event, the second is set to, from now
                    on and through restarts; the devices need not have connected yet
  MAP               other values, as JSON: '{"pressed": 1, "*": 0}'; "*" is all others
  disconnect        ends that; the second channel stays as it is
  links             a line for each: tx/button -> rx/led, and its map
  --json            as JSON
  --store FILE      what the server was given as --store
  --help

The server's option --connect says the same when it starts.
`;

const COMMANDS = ["connect", "disconnect", "links"] as const;

/** Whether these arguments are for `runLinksCommand`. */
export function isLinksCommand([command]: string[]): boolean {
  return COMMANDS.some((word) => word === command);
}

/** A link as it is given on the command line. */
export interface LinkArgument {
  from: string;
  to: string;
  map?: Record<string, unknown>;
}

/**
 * Runs `connect`, `disconnect` or `links` with the arguments behind it.
 *
 * @param give `giveOrStart`'s.
 * @throws {LocalError} BAD_ARGUMENT, STORE_UNUSABLE, STORE_FAILED, CLOSED
 * @throws {TypeError} of `parseArgs`
 */
export async function runLinksCommand(args: string[], give: Give): Promise<void> {
  const { values: { store, help, json }, positionals: [word, ...words] } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      store: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (help) return console.log(HELP);
  const command = COMMANDS.find((it) => it === word)!;
  const [from, to, map] = words;
  if (!store || store === ":memory:") throw badArgument(command, `${command} needs --store FILE`);
  if (command === "links") {
    if (words.length > 0) throw badArgument(command, "links takes no channels");
    return await give(store, { command, json });
  }
  const most = command === "connect" ? 3 : 2;
  if (from === undefined || to === undefined || words.length > most) {
    throw badArgument(command, `${command} takes ID/CHANNEL ID/CHANNEL`);
  }
  if (command === "disconnect") return await give(store, { command, from, to });
  await give(store, { command, from, to, ...(map !== undefined && { map: parseMap(map) }) });
}

/** @throws {LocalError} BAD_ARGUMENT */
function parseMap(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    throw badArgument("connect", `a map is JSON, such as {"pressed": 1, "*": 0}, not ${text}`);
  }
}

/** Reads `tx/button=rx/led`, with a map behind a space. @throws {LocalError} BAD_ARGUMENT */
export function parseLink(text: string): LinkArgument {
  // An id may have = and spaces in it; a channel has neither.
  const [, from, to, map] = /^(.*?\/[^=]*)=(.*?\/[^ ]*)(?: (.*))?$/s.exec(text) ?? [];
  if (from === undefined || to === undefined) {
    throw badArgument("server", `--connect takes ID/CHANNEL=ID/CHANNEL, not ${text}`);
  }
  return { from, to, ...(map !== undefined && { map: parseMap(map) }) };
}
