/**
 * Divides a linked program into what the chip's ROM loads into RAM and what is read from flash, in place.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { inRam, type Segment } from "../formats/image.ts";
import type { Elf } from "./elf.ts";

/** Where the flash is seen in memory, and how much of it. */
const FLASH_WINDOW = { start: 0x40200000, end: 0x40300000 };

/** What the flash of one device holds of a linked program. */
export interface LinkedImages {
  /** Segments in RAM, and the entry. */
  boot: { entry: number; segments: Segment[] };
  /** Read in place, from `codeOffset` in the flash. */
  code: Uint8Array<ArrayBuffer>;
  codeOffset: number;
}

/**
 * Divides a linked program into what the ROM loads and what stays in flash.
 *
 * @throws {LocalError} BAD_ARGUMENT for sections that the chip has no memory for
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
      throw bad(`${name} is at 0x${address.toString(16)}, where the chip has no memory to load`);
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

/** With zeros behind it, up to a whole word. */
function padded(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  result.set(bytes);
  return result;
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", `this program does not fit an ESP8266: ${message}`);
}
