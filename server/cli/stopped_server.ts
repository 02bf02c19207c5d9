/** A server without a port, for commands on a store that no running server has open. */
import type { Device } from "../device.ts";
import { declareParts } from "../channels/table.ts";
import type { Limits } from "../link/limits.ts";
import { SqliteStore } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import { nodePlatform } from "../transport/node.ts";
import type { Platform } from "../transport/platform.ts";
import { badArgument } from "./arguments.ts";

/** The platform, without a listener. */
const unreachable: Platform = {
  ...nodePlatform,
  listen: () => Promise.resolve({ port: 0, setTls() {}, close: () => Promise.resolve() }),
};

/** Takes no messages: they wait for the application of the next server. */
const NO_APP = declareParts((_: Device) => Promise.resolve(), []);

/** Starts a server on a store and a machine. */
export type Start<Server> = (
  options: { open: true; store: Store; limits: Partial<Limits>; app: typeof NO_APP },
  platform: Platform,
) => Promise<Server & AsyncDisposable>;

/**
 * Runs a server on a store while `use` runs.
 *
 * @param command The command that needs it.
 * @param start `Server.listen`.
 * @throws {LocalError} BAD_ARGUMENT: there is no such store; STORE_UNUSABLE; what `use` throws
 */
export async function withStoppedServer<Server, Result>(
  path: string,
  command: string,
  start: Start<Server>,
  use: (server: Server) => Promise<Result>,
): Promise<Result> {
  // A mistyped name must not create a store.
  if (!exists(path)) {
    throw badArgument(command, `the store ${JSON.stringify(path)} does not exist`);
  }
  const store = new SqliteStore(path);
  // The next server will not report this, as the store is upgraded now.
  if (store.older) console.error(`holdfast: warning: the store: ${store.older}`);
  try {
    // The next server enforces the limit on all queues.
    const limits = { totalText: 2 ** 31 };
    await using server = await start({ open: true, store, limits, app: NO_APP }, unreachable);
    return await use(server);
  } finally {
    await store.close();
  }
}

/** Whether something exists at this path. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
