/** A server that nobody can reach, for what commands do with a store while no other one has it. */
import type { Device } from "../device.ts";
import { declareParts } from "../channels/table.ts";
import type { Limits } from "../link/limits.ts";
import { SqliteStore } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import { nodePlatform } from "../transport/node.ts";
import type { Platform } from "../transport/platform.ts";
import { badArgument } from "./arguments.ts";

/** The machine, without a port. */
const unreachable: Platform = {
  ...nodePlatform,
  listen: () => Promise.resolve({ port: 0, setTls() {}, close: () => Promise.resolve() }),
};

/** Takes no message: they are for the application of the server that is started next. */
const NO_APP = declareParts((_: Device) => Promise.resolve(), []);

/** Starts a server on a store and a machine. */
export type Start<Server> = (
  options: { open: true; store: Store; limits: Partial<Limits>; app: typeof NO_APP },
  platform: Platform,
) => Promise<Server & AsyncDisposable>;

/**
 * Runs a server on a store for as long as `use` takes.
 *
 * @param command Who needs it.
 * @param start `Server.listen`.
 * @throws {LocalError} BAD_ARGUMENT: there is no such store; STORE_UNUSABLE; what `use` throws
 */
export async function withStoppedServer<Server, Result>(
  path: string,
  command: string,
  start: Start<Server>,
  use: (server: Server) => Promise<Result>,
): Promise<Result> {
  // Who mistypes its name gets no new store.
  if (!exists(path)) {
    throw badArgument(command, `the store ${JSON.stringify(path)} does not exist`);
  }
  const store = new SqliteStore(path);
  // The server that opens it next has no reason any more to say so.
  if (store.older) console.error(`holdfast: warning: the store: ${store.older}`);
  try {
    // The bound on all queues is the affair of the server that is started next.
    const limits = { totalText: 2 ** 31 };
    await using server = await start({ open: true, store, limits, app: NO_APP }, unreachable);
    return await use(server);
  } finally {
    await store.close();
  }
}

/** Whether there is something in this place. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
