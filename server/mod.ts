/**
 * The server's end: listens for devices, and keeps a link to each that outlives outages.
 *
 * ```ts
 * import { Server } from "@holdfast/holdfast";
 * import { Client } from "@holdfast/holdfast/client";
 *
 * await using server = await Server.listen({ port: 0, open: true });
 * await using client = new Client({ id: "1", port: server.port });
 *
 * const device = await server.device("1");
 * await client.write("21.5");
 * console.log(await device.readline()); // 21.5
 * ```
 *
 * @module
 */
export { Device, type DeviceWriteOptions } from "./device.ts";
export * from "./protocol/errors.ts";
export { defaultLimits, type Limits } from "./link/limits.ts";
export { type Log, type LogEntry, logTo } from "./observe/log.ts";
export { type App, Server, type ServerOptions } from "./server.ts";
export type { AccessOptions } from "./admission/access.ts";
export {
  type Database,
  type DeviceRecord,
  MemoryStore,
  type Outgoing,
  type SqlInput,
  type SqlRow,
  type Store,
  type Transaction,
} from "./store/store.ts";
export { SqliteStore, type SqliteStoreOptions } from "./store/sqlite/sqlite.ts";
