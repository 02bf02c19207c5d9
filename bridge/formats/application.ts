/**
 * The area of flash that applications run from, in place: two slots of 20 KB, each with a header and a .wasm. One runs;
 * the other receives a deploy over the link. After a deploy, the old application stays as the one to fall back to. The
 * firmware's side is `firmware/slots.c`.
 *
 * A header, in words of 32 bits, little-endian:
 *
 * | word  | content                                                                                                 |
 * | ----- | ------------------------------------------------------------------------------------------------------- |
 * | 0     | "HFAP"; written last, so that a partly written slot does not count as an application                    |
 * | 1     | lower half: version 2; upper half: length of the header in bytes, 96                                    |
 * | 2     | length of the .wasm in bytes                                                                            |
 * | 3     | its CRC-32                                                                                              |
 * | 4-11  | the application's name, UTF-8, padded with zeros                                                        |
 * | 12    | its version                                                                                             |
 * | 13    | sequence: of two complete slots the one with the greater number is newer                                |
 * | 14    | state: see {@linkcode Mark}; its bits are only ever cleared                                             |
 * | 15    | CRC-32 of words 1 to 13                                                                                 |
 * | 16-23 | the SHA-256 that the server announced; all ones if it was flashed over the cable                        |
 *
 * A header of version 1, in the first slot only, has 48 bytes: words 0 to 11. Its application counts as kept, with
 * version 0.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import { crc32 } from "./crc32.ts";

/** Where the area begins in flash. */
export const APPLICATION_OFFSET = 0xf0000;
/** Length of the area in bytes. */
export const APPLICATION_MOST = 0xa000;
/** Bytes of a slot: there are two. */
export const SLOT_BYTES = APPLICATION_MOST / 2;
/** Bytes before the .wasm in a slot. */
export const APPLICATION_HEADER = 96;
/** Greatest length of a .wasm in bytes. */
export const WASM_MOST = SLOT_BYTES - APPLICATION_HEADER;
/** Greatest length of a name in bytes. */
export const APPLICATION_NAME = 32;

/** The meaning of each bit of the state word when it is 0. */
export const Mark = {
  /** One bit for each start during the trial. */
  tries: 0b1111,
  /** It was flashed over the cable, or has passed its trial. */
  kept: 1 << 4,
  /** The server has acknowledged the report why the device fell back. */
  told: 1 << 5,
  /** From here on, one bit for each reason to fall back, in the order of {@linkcode REASONS}. */
  fell: 1 << 8,
} as const;

/** Why an application was not kept, in the order of the state word's bits. */
export const REASONS = ["trap", "hang", "crash", "heap", "link", "refused", "load"] as const;

const MAGIC = [0x48, 0x46, 0x41, 0x50]; // "HFAP"
const VERSION = 2;
const SECTOR = 4096;
/** End of the words that the header's checksum covers. */
const CHECKED = 14 * 4;

/**
 * The bytes to flash for an application: the first slot, and enough of the second one to erase its header, so that an
 * application that came over the link before does not run instead.
 *
 * @throws {LocalError} BAD_ARGUMENT if the name is longer than 32 bytes, or the module too long
 */
export function encodeApplication(
  name: string,
  wasm: Uint8Array,
  version = 0,
): Uint8Array<ArrayBuffer> {
  return forgettingOther(encodeSlot({ name, version, sequence: 1, state: ~Mark.kept }, wasm));
}

/** The bytes of the first slot, extended to erase the header of the second. Unchanged if they reach that far. */
export function forgettingOther(slot: Uint8Array): Uint8Array<ArrayBuffer> {
  const area = new Uint8Array(Math.max(SLOT_BYTES + SECTOR, slot.length)).fill(0xff);
  area.set(slot);
  return area;
}

/** The contents of a header. */
export interface SlotFacts {
  name: string;
  version: number;
  sequence: number;
  state: number;
}

/**
 * The bytes of a slot, up to the end of its application.
 *
 * @throws {LocalError} BAD_ARGUMENT if the name is longer than 32 bytes, or the module too long
 */
export function encodeSlot(
  { name, version, sequence, state }: SlotFacts,
  wasm: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const label = new TextEncoder().encode(name);
  if (label.length === 0 || label.length > APPLICATION_NAME) {
    throw new LocalError(
      "BAD_ARGUMENT",
      `an application's name must have 1 to ${APPLICATION_NAME} bytes: ${name}`,
    );
  }
  if (wasm.length > WASM_MOST) {
    throw new LocalError(
      "BAD_ARGUMENT",
      `${name} has ${wasm.length} bytes, more than the ${WASM_MOST} that fit a slot`,
    );
  }
  const slot = new Uint8Array(APPLICATION_HEADER + Math.ceil(wasm.length / 4) * 4).fill(0xff);
  const view = new DataView(slot.buffer);
  slot.set(MAGIC);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, APPLICATION_HEADER, true);
  view.setUint32(8, wasm.length, true);
  view.setUint32(12, crc32(wasm), true);
  slot.fill(0, 16, 16 + APPLICATION_NAME);
  slot.set(label, 16);
  view.setUint32(48, version, true);
  view.setUint32(52, sequence, true);
  view.setUint32(56, state, true);
  view.setUint32(60, crc32(slot.subarray(4, CHECKED)), true);
  slot.set(wasm, APPLICATION_HEADER);
  return slot;
}

/** A complete application in a slot. */
export interface Slot extends SlotFacts {
  wasm: Uint8Array;
}

/** Reads a slot, of either version. @throws {LocalError} BAD_ARGUMENT, which says what is wrong with it */
export function decodeSlot(slot: Uint8Array): Slot {
  const bad = (what: string) => new LocalError("BAD_ARGUMENT", what);
  if (!MAGIC.every((byte, at) => slot[at] === byte)) throw bad("it is not an application image");
  if (slot.length < 48) throw bad("its header is cut off");
  const view = new DataView(slot.buffer, slot.byteOffset, slot.length);
  const version = view.getUint16(4, true), start = view.getUint16(6, true);
  const header = { 1: 48, 2: APPLICATION_HEADER }[version];
  if (header === undefined || start !== header) {
    throw bad("its header has an unknown version");
  }
  if (slot.length < header) throw bad("its header is cut off");
  if (version === 2 && view.getUint32(60, true) !== crc32(slot.subarray(4, CHECKED))) {
    throw bad("the checksum of its header is wrong: it is damaged");
  }
  const length = view.getUint32(8, true);
  if (length > SLOT_BYTES - header) {
    throw bad(`it has ${length} bytes, more than the ${SLOT_BYTES - header} that fit a slot`);
  }
  const wasm = slot.subarray(start, start + length);
  if (wasm.length !== length) throw bad("its end is missing");
  if (view.getUint32(12, true) !== crc32(wasm)) {
    throw bad("its checksum is wrong: it is damaged");
  }
  const label = slot.subarray(16, 16 + APPLICATION_NAME);
  const end = label.indexOf(0);
  const name = new TextDecoder().decode(end < 0 ? label : label.subarray(0, end));
  if (version === 1) return { name, version: 0, sequence: 0, state: ~Mark.kept >>> 0, wasm };
  return {
    name,
    version: view.getUint32(48, true),
    sequence: view.getUint32(52, true),
    state: view.getUint32(56, true),
    wasm,
  };
}
