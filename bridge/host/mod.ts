/**
 * The client's end on a host: a PC, a Raspberry Pi, a test. It runs the same core as a chip does.
 *
 * @module
 */
export { Client, type ClientOptions, type ClientWriteOptions } from "./client.ts";
export { chipSize, type CoreSize, loadModule, pcSize } from "./core.ts";
export { Board, type BoardOptions, I2c, Kept, Wifi, type Wires } from "./board.ts";
export { type Fields, readFields } from "./fields.ts";
export { type LinkOptions } from "./link.ts";
export * from "../../server/protocol/errors.ts";
