/**
 * The area of flash that an application lies in: a header, and its .wasm, read in place. The firmware's side is
 * `load` in firmware/firmware.c.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { crc32 } from "./crc32.ts";

/** Where the area begins in flash. */
export const APPLICATION_OFFSET = 0xf0000;
/** Bytes that the area has. */
export const APPLICATION_MOST = 0xa000;

const MAGIC = [0x48, 0x46, 0x41, 0x50]; // "HFAP"
const VERSION = 1;
const HEADER = 48;
const NAME = 32;

/**
 * The bytes of an application's area, up to its end.
 *
 * @throws {LocalError} BAD_ARGUMENT if the name is longer than 32 bytes, or the module too long
 */
export function encodeApplication(name: string, wasm: Uint8Array): Uint8Array<ArrayBuffer> {
  const label = new TextEncoder().encode(name);
  if (label.length === 0 || label.length > NAME) {
    throw new LocalError("BAD_ARGUMENT", `an application's name takes 1 to ${NAME} bytes: ${name}`);
  }
  if (HEADER + wasm.length > APPLICATION_MOST) {
    throw new LocalError(
      "BAD_ARGUMENT",
      `${name} has ${wasm.length} bytes, and there is room for ${APPLICATION_MOST - HEADER}`,
    );
  }
  const area = new Uint8Array(HEADER + Math.ceil(wasm.length / 4) * 4).fill(0xff);
  const view = new DataView(area.buffer);
  area.fill(0, 0, HEADER);
  area.set(MAGIC);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, HEADER, true);
  view.setUint32(8, wasm.length, true);
  view.setUint32(12, crc32(wasm), true);
  area.set(label, 16);
  area.set(wasm, HEADER);
  return area;
}
