/**
 * Divides a linked program into the parts that the chip's ROM loads into RAM and those that are read from flash.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { inRam, type Segment } from "../formats/image.ts";
import type { Elf } from "./elf.ts";

/** The part of the address space that shows the flash. */
const FLASH_WINDOW = { start: 0x40200000, end: 0x40300000 };

/** A linked program, as it is stored in flash. */
export interface LinkedImages {
  /** The segments for RAM, and the entry. */
  boot: { entry: number; segments: Segment[] };
  /** The part that is read in place, from `codeOffset` in the flash. */
  code: Uint8Array<ArrayBuffer>;
  codeOffset: number;
}

/**
 * Divides a linked program.
 *
 * @throws {LocalError} BAD_ARGUMENT for a section at an address where the chip has no memory
 */
export function imagesOf(elf: Elf): LinkedImages {
  const segments: Segment[] = [];
  const inFlash: { name: string; address: number; bytes: Uint8Array<ArrayBuffer> }[] = [];
  for (const { name, address, bytes } of elf.sections) {
    if (bytes === undefined) continue;
    if (address >= FLASH_WINDOW.start && address + bytes.length <= FLASH_WINDOW.end) {
      inFlash.push({ name, address, bytes });
    } else if (inRam(address, bytes.length)) {
      if (address % 4 !== 0) throw bad(`${name} is not aligned to 4`);
      segments.push({ address, data: padded(bytes) });
    } else {
      throw bad(`${name} is at 0x${address.toString(16)}, where the chip has no memory`);
    }
  }
  const start = inFlash[0]?.address ?? FLASH_WINDOW.start;
  const end = Math.max(start, ...inFlash.map(({ address, bytes }) => address + bytes.length));
  const code = new Uint8Array(Math.ceil((end - start) / 4) * 4).fill(0xff);
  for (const { address, bytes } of inFlash) code.set(bytes, address - start);
  return {
    boot: { entry: elf.entry, segments: segments.sort((a, b) => a.address - b.address) },
    code,
    codeOffset: start - FLASH_WINDOW.start,
  };
}

/** Pads with zeros to whole words. */
function padded(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  result.set(bytes);
  return result;
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", `this program does not fit an ESP8266: ${message}`);
}
