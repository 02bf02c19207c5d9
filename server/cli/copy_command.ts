/** The command that copies a store to one of another kind. */
import { copyDevices } from "../store/copy.ts";
import { PostgresStore } from "../store/postgres/postgres.ts";
import { isPostgres } from "../store/postgres/conninfo.ts";
import { SqliteStore } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import { badArgument } from "./arguments.ts";
import { command } from "./command.ts";
import { print } from "./print.ts";
import { exists } from "./stopped_server.ts";

const NAME = "store";

export const storeCommand = command({
  name: NAME,
  usage: ["copy FROM TO"],
  summary: "Copies a store into another one that is empty: from SQLite to PostgreSQL, or back",
  about:
    `FROM and TO are each the name of a file or a URL, as for the server's option --store; stop the server first. Devices,
positions, messages, channels and dead letters are copied as they are, in one commit: TO gets all of it, or nothing.
FROM is not changed: do not start a server on it again. Tables of applications are not copied, nor is what waits for an
MQTT broker; they are listed.`,
  options: {
    json: { type: "boolean", help: "prints the result and errors as JSON" },
  },
  async run(words, values) {
    const [, from, to] = words as [string, string, string];
    if ([from, to].includes(":memory:")) {
      throw badArgument(NAME, "a store in memory ends with its server, so it cannot be copied");
    }
    if (from === to) throw badArgument(NAME, "FROM and TO are the same store");
    if (!isPostgres(from) && !exists(from)) {
      throw badArgument(NAME, `the store ${JSON.stringify(from)} does not exist`);
    }
    const made = !isPostgres(to) && !exists(to);
    await using source = opened(from);
    await using destination = opened(to);
    let devices: number;
    try {
      devices = await copyDevices(source.store, destination.store, (read, all) => {
        console.error(`holdfast: read ${read} of ${all} devices`);
      });
    } catch (error) {
      await destination.close();
      if (made) { for (const end of ["", "-wal", "-shm"]) removeIfThere(to + end); }
      throw error;
    }
    const left = await tablesOf(source.store);
    if (values.json) print(JSON.stringify({ devices, left }));
    else {
      print(`copied ${devices} devices`);
      if (left.length > 0) {
        print(`not copied, because they belong to applications: tables ${left.join(", ")}`);
      }
    }
  },
});

/** Opens a store that no server has open. */
function opened(name: string): AsyncDisposable & { store: Store; close(): Promise<void> } {
  const store = isPostgres(name) ? new PostgresStore(name, { alone: true }) : new SqliteStore(name);
  const close = () => store.close();
  return { store, close, [Symbol.asyncDispose]: close };
}

/** Tables that are not the store's own. */
async function tablesOf({ database }: Store): Promise<string[]> {
  const sql = database?.dialect === "postgresql"
    ? `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()`
    : `SELECT name FROM sqlite_schema WHERE type = 'table'`;
  const rows = await database?.query(sql, [], "all") ?? [];
  return rows.map(({ name }) => String(name)).filter((name) => !/^(holdfast|sqlite)_/.test(name))
    .sort();
}

function removeIfThere(path: string): void {
  if (exists(path)) Deno.removeSync(path);
}
