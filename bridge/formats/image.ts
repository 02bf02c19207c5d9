/**
 * The image that the ESP8266's ROM loads into RAM and starts, at the front of the flash. Runs in a browser,
 * too.
 *
 *     E9, number of segments, mode of the flash, its size and clock; u32 entry
 *     each segment: u32 address, u32 length, data; lengths are multiples of 4
 *     00 until the next byte is the last of 16; that is the checksum: EF, XORed with all segments' data
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import type { FlashSize } from "./manifest.ts";

/** Bytes that the ROM copies to a place in RAM. */
export interface Segment {
  address: number;
  /** A multiple of 4 long. */
  data: Uint8Array<ArrayBuffer>;
}

/** How the chip talks to its flash: over how many lines, and whether addresses use them, too. */
export const flashModes = ["qio", "qout", "dio", "dout"] as const;

/** Name of a way to talk to the flash. */
export type FlashMode = typeof flashModes[number];

/** Works with every flash. The others save a few clocks for each read, but some modules do not start with them. */
export const DEFAULT_FLASH_MODE: FlashMode = "dout";

/** An image, taken apart. */
export interface Image {
  entry: number;
  mode: FlashMode;
  /** Size of the flash, as the header has it: the upper half of a byte; 2 is 1 MB, 4 is 4 MB. */
  sizeCode: number;
  /** Clock of the flash: the lower half of that byte; 0 is 40 MHz. */
  clockCode: number;
  segments: Segment[];
  /** Bytes up to and including the checksum. */
  length: number;
}

const MAGIC = 0xe9;
const CHECKSUM_START = 0xef;
const BLOCK = 16;
/** More than the ROM loads. */
const MOST_SEGMENTS = 16;

const sizeCodes: Record<FlashSize, number> = { "1MB": 2, "4MB": 4 };

/** RAM that the ROM can load: for data and for instructions. */
const RAM = [
  { start: 0x3ffe8000, end: 0x40000000 },
  { start: 0x40100000, end: 0x40110000 },
];

/** The bytes of an image. @throws {LocalError} BAD_ARGUMENT if the ROM could not load it */
export function encodeImage(
  { entry, segments }: { entry: number; segments: Segment[] },
  size: FlashSize,
  mode: FlashMode = DEFAULT_FLASH_MODE,
): Uint8Array<ArrayBuffer> {
  let length = 8;
  for (const { data } of segments) length += 8 + data.length;
  const image = new Uint8Array((Math.floor(length / BLOCK) + 1) * BLOCK);
  const view = new DataView(image.buffer);
  image.set([MAGIC, segments.length, flashModes.indexOf(mode), sizeCodes[size] << 4]);
  view.setUint32(4, entry, true);
  let at = 8;
  let checksum = CHECKSUM_START;
  for (const { address, data } of segments) {
    view.setUint32(at, address, true);
    view.setUint32(at + 4, data.length, true);
    image.set(data, at + 8);
    for (const byte of data) checksum ^= byte;
    at += 8 + data.length;
  }
  image[image.length - 1] = checksum;
  decodeImage(image);
  return image;
}

/**
 * Reads an image, and checks everything that the ROM depends on. Bytes after it are ignored.
 *
 * @throws {LocalError} BAD_ARGUMENT, which says what is wrong with it
 */
export function decodeImage(bytes: Uint8Array<ArrayBuffer>): Image {
  if (bytes[0] !== MAGIC) {
    throw bad(`it starts with ${bytes[0] === undefined ? "nothing" : hex(bytes[0])}, not 0xe9`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const need = (end: number) => {
    if (end > bytes.length) throw bad(`it is cut off: ${bytes.length} bytes of ${end} or more`);
  };
  need(8);
  const count = bytes[1]!;
  if (count < 1 || count > MOST_SEGMENTS) throw bad(`it has ${count} segments`);
  const mode = flashModes[bytes[2]!];
  if (mode === undefined) throw bad(`its flash mode must be 0 to 3, not ${bytes[2]}`);
  const entry = view.getUint32(4, true);
  const segments: Segment[] = [];
  let at = 8;
  let checksum = CHECKSUM_START;
  for (let i = 0; i < count; i++) {
    need(at + 8);
    const address = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    if (length % 4 !== 0) throw bad(`segment ${i} has ${length} bytes, not a multiple of 4`);
    if (!inRam(address, length)) {
      throw bad(`segment ${i} is ${length} bytes at ${hex(address)}, where there is no RAM`);
    }
    need(at + 8 + length);
    const data = bytes.subarray(at + 8, at + 8 + length);
    for (const byte of data) checksum ^= byte;
    segments.push({ address, data });
    at += 8 + length;
  }
  const length = (Math.floor(at / BLOCK) + 1) * BLOCK;
  need(length);
  if (bytes[length - 1] !== checksum) throw bad("its checksum is wrong");
  checkOverlaps(segments);
  const inCode = segments.some(({ address, data }) =>
    address >= RAM[1]!.start && entry >= address && entry < address + data.length
  );
  if (!inCode) throw bad(`its entry ${hex(entry)} is not in a segment of instructions`);
  return {
    entry,
    mode,
    sizeCode: bytes[3]! >> 4,
    clockCode: bytes[3]! & 15,
    segments,
    length,
  };
}

function checkOverlaps(segments: Segment[]): void {
  const sorted = segments.toSorted((a, b) => a.address - b.address);
  for (const [i, { address }] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before && before.address + before.data.length > address) {
      throw bad(`two segments overlap at ${hex(address)}`);
    }
  }
}

/** Whether the chip has RAM there that the ROM can load. */
export function inRam(address: number, length: number): boolean {
  return RAM.some(({ start, end }) => address >= start && address + length <= end);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", `an ESP8266 cannot boot this image: ${message}`);
}
