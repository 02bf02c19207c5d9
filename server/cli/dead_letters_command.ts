/** The part of the command line that looks after messages that were given up. */
import { parseArgs } from "node:util";
import { badArgument } from "./arguments.ts";
import type { Give } from "./orders.ts";

const COMMAND = "dead-letters";

const HELP =
  `Looks after dead letters: messages with which the application has failed again and again.

Usage: deno run -A server/main.ts dead-letters list --store FILE
       deno run -A server/main.ts dead-letters revive ID NUMBER --store FILE
       deno run -A server/main.ts dead-letters discard ID NUMBER --store FILE

  list              a line for each: device, number, when, why, and what it says, as JSON
  revive            the message comes to the application again, after those that wait
  discard           forgets it
  --store FILE      what the server was given as --store; it may run or not
  --help
`;

/**
 * Runs `dead-letters` with the arguments behind it.
 *
 * @param give `giveOrStart`'s.
 * @throws {LocalError} BAD_ARGUMENT; UNKNOWN_DEVICE; INBOX_FULL; STORE_UNUSABLE; STORE_FAILED; CLOSED
 * @throws {TypeError} of `parseArgs`
 */
export async function runDeadLettersCommand(args: string[], give: Give): Promise<void> {
  const { values: { store, help }, positionals: [action, ...rest] } = parseArgs({
    args,
    allowPositionals: true,
    options: { store: { type: "string" }, help: { type: "boolean", default: false } },
  });
  if (help) return console.log(HELP);
  if (action !== "list" && action !== "revive" && action !== "discard") {
    throw badArgument(
      COMMAND,
      "say dead-letters list, dead-letters revive or dead-letters discard",
    );
  }
  if (!store || store === ":memory:") throw badArgument(COMMAND, `${COMMAND} needs --store FILE`);
  if (action === "list") {
    if (rest.length > 0) throw badArgument(COMMAND, `${COMMAND} list takes no id`);
    return await give(store, { command: "list dead letters" });
  }
  const [device, number] = rest;
  if (!device || number === undefined || rest.length > 2) {
    throw badArgument(COMMAND, `${COMMAND} ${action} takes ID NUMBER`);
  }
  if (!/^\d+$/.test(number)) {
    throw badArgument(COMMAND, `NUMBER is what list shows, not ${JSON.stringify(number)}`);
  }
  await give(store, { command: action, device, number: Number(number) });
}
