/** The part of the command line that looks after messages that were given up. */
import { parseArgs } from "node:util";
import { exhume } from "../link/dead_letters.ts";
import { defaultLimits } from "../link/limits.ts";
import { Session } from "../link/session.ts";
import { printable } from "../observe/log.ts";
import { Ledger } from "../store/ledger.ts";
import type { SqliteStore } from "../store/sqlite/sqlite.ts";
import { badArgument } from "./arguments.ts";
import { withStoppedStore } from "./stopped_store.ts";

const COMMAND = "dead-letters";

const HELP =
  `Looks after dead letters: messages with which the application has failed again and again.

Usage: deno run -A server/main.ts dead-letters list --store FILE
       deno run -A server/main.ts dead-letters revive ID NUMBER --store FILE
       deno run -A server/main.ts dead-letters discard ID NUMBER --store FILE

  list              a line for each: device, number, when, why, and what it says, as JSON
  revive            the message comes to the application again, after those that wait
  discard           forgets it
  --store FILE      the server's; it must be stopped
  --help
`;

/**
 * Runs `dead-letters` with the arguments behind it.
 *
 * @throws {LocalError} BAD_ARGUMENT; INBOX_FULL; STORE_UNUSABLE; STORE_FAILED
 * @throws {TypeError} of `parseArgs`
 */
export async function runDeadLettersCommand(args: string[]): Promise<void> {
  const { values: { store: path, help }, positionals: [action, ...rest] } = parseArgs({
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
  if (!path || path === ":memory:") throw badArgument(COMMAND, "dead-letters takes --store FILE");
  if (rest.length !== (action === "list" ? 0 : 2)) {
    throw badArgument(
      COMMAND,
      `dead-letters ${action} takes ${action === "list" ? "no id" : "ID NUMBER"}`,
    );
  }
  await withStoppedStore(path, COMMAND, async (store) => {
    if (action === "list") await list(store);
    else await change(store, rest as [string, string], action === "revive");
  });
}

async function list(store: SqliteStore): Promise<void> {
  for (const { id } of await store.list()) {
    for (const letter of (await store.acquire(id)).state?.deadLetters ?? []) {
      const { number, text, error, date } = letter;
      const line = { device: id, number, date: new Date(date).toISOString(), error, text };
      console.log(printable(JSON.stringify(line)));
    }
  }
}

async function change(
  store: SqliteStore,
  [id, number]: [string, string],
  revives: boolean,
): Promise<void> {
  const changed = new Set<Ledger>();
  const acquired = await store.acquire(id);
  if (!acquired.state) {
    throw badArgument(COMMAND, `no device has ever connected as ${JSON.stringify(id)}`);
  }
  const { record } = new Ledger(id, acquired, changed);
  const session = new Session(record, 0, defaultLimits);
  exhume(session, /^\d+$/.test(number) ? Number(number) : -1, revives);
  await store.commit({ works: [], changes: () => changed });
}
