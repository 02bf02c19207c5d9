/**
 * The client on a host: a PC, a Raspberry Pi, a test. It runs the same core as a chip.
 *
 * @module
 */
export {
  Channels,
  type DeviceChannel,
  type DeviceChannelsOptions,
  type TellOptions,
} from "./channels.ts";
export type { RequestOptions } from "../../server/protocol/requests.ts";
export { Client, type ClientOptions } from "./client.ts";
export { type ClientWriteOptions } from "./outbox.ts";
export { loadModule, type Position } from "./core.ts";
export { chipSize, type CoreSize, pcSize } from "./core_size.ts";
export { Board, type BoardOptions, type BoardSettings, I2c, Wifi, type Wires } from "./board.ts";
export { Kept } from "./kept.ts";
export { type Asleep } from "./sleep.ts";
export { type Fields, readFields } from "./fields.ts";
export { type TxStream } from "./core.ts";
export type { StaticAddress } from "../formats/ipv4.ts";
export type { Configuration, Settings } from "../formats/settings.ts";
export { type Progress } from "./handout.ts";
export {
  type ClientMemory,
  type KeptClock,
  type KeptMessage,
  type KeptOutbox,
  type MemoryChange,
  type Remembered,
} from "./memory.ts";
export { type ConnectionOptions } from "./options.ts";
export type { FaultCode, Value } from "../../server/protocol/channel_lines.ts";
export * from "../../server/protocol/errors.ts";
export { FaultError } from "../../server/protocol/fault.ts";
