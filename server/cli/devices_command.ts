/** The part of the command line that looks after the devices of a server. */
import { parseArgs } from "node:util";
import { badArgument } from "./arguments.ts";
import type { Give } from "./orders.ts";

const HELP = `Looks after the devices of a server, while it runs or not.

Usage: deno run -A server/main.ts forget ID --store FILE
       deno run -A server/main.ts clear ID --store FILE

  forget ID         the store knows the device no longer: messages that wait, dead letters and positions are
                    gone. If it comes back it is a new device. Where it has a key, \`keys remove ID\` keeps it away
  clear ID          messages from the device that are not processed, and messages to it that it has not
                    acknowledged, are dropped; both ends go on behind them
  --store FILE      what the server was given as --store
  --help

If the device is connected, its connection is ended first. It comes back at once: after \`forget\` as a new device,
for which the application begins again, and what it still had to say arrives. \`clear\` waits until a message that
the application is consuming is done. While the store fails, both wait until it works again.
`;

/** Whether these arguments are for `runDevicesCommand`. */
export function isDevicesCommand([command]: string[]): boolean {
  return command === "forget" || command === "clear";
}

/**
 * Runs `forget` or `clear` with the arguments behind it.
 *
 * @param give `giveOrStart`'s.
 * @throws {LocalError} BAD_ARGUMENT, UNKNOWN_DEVICE, STORE_UNUSABLE, STORE_FAILED, CLOSED
 * @throws {TypeError} of `parseArgs`
 */
export async function runDevicesCommand(args: string[], give: Give): Promise<void> {
  const { values: { store, help }, positionals: [word, ...ids] } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      store: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (help) return console.log(HELP);
  const command = word === "clear" ? "clear" : "forget";
  const [device] = ids;
  if (!device || ids.length > 1) throw badArgument(command, `${command} takes one id`);
  if (!store || store === ":memory:") throw badArgument(command, `${command} needs --store FILE`);
  await give(store, { command, device });
}
