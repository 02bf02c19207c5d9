/** A store that commands work on while no server has it. */
import { SqliteStore } from "../store/sqlite/sqlite.ts";
import { badArgument } from "./arguments.ts";

/**
 * Opens a store for as long as `use` takes.
 *
 * @param command Who needs it.
 * @throws {LocalError} BAD_ARGUMENT: there is no such store; STORE_UNUSABLE; what `use` throws
 */
export async function withStoppedStore(
  path: string,
  command: string,
  use: (store: SqliteStore) => Promise<void>,
): Promise<void> {
  // Who mistypes its name gets no new store.
  if (!exists(path)) {
    throw badArgument(command, `the store ${JSON.stringify(path)} does not exist`);
  }
  const store = new SqliteStore(path);
  // The server that opens it next has no reason any more to say so.
  if (store.older) console.error(`holdfast: warning: the store: ${store.older}`);
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
