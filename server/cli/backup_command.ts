/** The part of the command line that makes backups of a store. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { badArgument } from "./arguments.ts";
import type { Give } from "./orders.ts";

const HELP = `Makes a backup of a store, while its server runs or not.

Usage: deno run -A server/main.ts backup FILE --store FILE

  FILE              where to; an earlier backup there is replaced when this one is complete
  --store FILE      what the server was given as --store
  --help

The backup is one file, and a store of its own: to put it back, stop the server, move away the store and what lies
beside it (-wal, .sock), and copy the backup to its place.
`;

/**
 * Runs `backup` with the arguments behind it.
 *
 * @param give `giveOrStart`'s.
 * @throws {LocalError} BAD_ARGUMENT, BACKUP_FAILED, STORE_UNUSABLE, CLOSED
 * @throws {TypeError} of `parseArgs`
 */
export async function runBackupCommand(args: string[], give: Give): Promise<void> {
  const { values: { store, help }, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      store: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (help) return console.log(HELP);
  const [file] = positionals;
  if (!file || positionals.length > 1) throw badArgument("backup", "say backup FILE --store FILE");
  if (!store || store === ":memory:") throw badArgument("backup", "backup needs --store FILE");
  await give(store, { command: "backup", path: resolve(file) });
}
