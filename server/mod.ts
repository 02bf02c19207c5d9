/**
 * The server: it listens for devices and keeps a link to each that outlives outages.
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
export type { AccessOptions } from "./admission/access.ts";
export type { DeviceKey } from "./protocol/proof.ts";
export type { KeyedSuite } from "./protocol/greeting.ts";
export { channels } from "./channels/app.ts";
export type {
  Channel,
  Channels,
  ChannelsOptions,
  Handler,
  HandlerContext,
  Observer,
  ThingSource,
} from "./channels/channel.ts";
export type { ChannelLink, LinkMap, LinkOptions } from "./channels/links.ts";
export type {
  ButtonDescription,
  ChannelDescription,
  Description,
  EnumDescription,
  EventDescription,
  NamedChannel,
  NumberDescription,
  NumberRange,
  PlainDescription,
  SensorDescription,
} from "./channels/description.ts";
export type { DescriptionsByName } from "./channels/descriptions.ts";
export { share } from "./channels/share.ts";
export { type AppOf } from "./channels/table.ts";
export type { RequestOptions } from "./protocol/requests.ts";
export type { LocalRule } from "./channels/states.ts";
export type { Desired, Moment, Reported, RunningApplication, Thing } from "./channels/thing.ts";
export type { Device, DeviceWriteOptions } from "./device.ts";
export type { DeployPhase } from "./firmware/deploy_state.ts";
export type { Deploy, DeployOptions, Rollout, RolloutOptions } from "./firmware/deploy.ts";
export { defaultLimits, type Limits } from "./link/limits.ts";
export type { MessageCounts } from "./link/counts.ts";
export type { WriteOptions } from "./link/outbox.ts";
export type { MessageListener } from "./runtime/message_watch.ts";
export type { Cleared } from "./link/session.ts";
export { type EventListener, Events, type ServerEvent } from "./observe/events.ts";
export { type Log, type LogEntry, logTo, type Unlogged } from "./observe/log.ts";
export type { FaultCode, Value } from "./protocol/channel_lines.ts";
export * from "./protocol/errors.ts";
export type { RunningApp } from "./protocol/firmware_lines.ts";
export { FaultError } from "./protocol/fault.ts";
export type { AppState } from "./runtime/application.ts";
export { type App, Server, type ServerOptions } from "./server.ts";
export type { ServerSettings } from "./server_options.ts";
export {
  type Answer,
  type Around,
  type Beat,
  type Fleet,
  type Kept,
  type Look,
  type Lost,
  type Mail,
  type MailChange,
  MOST_MAIL,
  type Post,
  type Reply,
  type Shown,
  type Sight,
} from "./store/fleet.ts";
export { MemoryStore } from "./store/memory.ts";
export { PostgresStore, type PostgresStoreOptions } from "./store/postgres/postgres.ts";
export type { Durability } from "./store/sqlite/database.ts";
export type { StoreClock } from "./store/sqlite/mark.ts";
export { SqliteStore, type SqliteStoreOptions } from "./store/sqlite/sqlite.ts";
export {
  type Acquired,
  type Batch,
  type Change,
  type Database,
  type DeadLetter,
  type DeviceState,
  type Execution,
  FencedError,
  type KnownDevice,
  type Noted,
  type Outgoing,
  type Positions,
  type RowWriter,
  type SqlInput,
  type SqlRow,
  type Statement,
  type Store,
  type Work,
} from "./store/store.ts";
export type {
  SetOptions,
  Transaction,
  TransactionOptions,
  TransactionWriteOptions,
} from "./store/transaction.ts";
export type {
  Boot,
  Clock,
  ConnectOptions,
  ConnectTls,
  Listener,
  ListenOptions,
  Platform,
  Socket,
  SocketEvents,
  Tls,
} from "./transport/platform.ts";
