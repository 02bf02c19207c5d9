/**
 * Images that the ROM starts: at the beginning of the flash `E9, segments, mode, size << 4 | clock, entry`,
 * then each segment's address, length and bytes; zeros up to the last byte of a block of 16, which is the
 * checksum.
 *
 * @module
 */
const MAGIC = 0xe9;
const CHECKSUM_SEED = 0xef;
/** Reading the flash with one pin for data; the third byte of an image. */
const DOUT = 3;
/** The last output of a chip that stops, without a line end. */
const LAST_WORD = "ets_main.c ";

/** A piece of an image that goes to RAM. */
export interface Segment {
  address: number;
  /** A multiple of four bytes. */
  data: Uint8Array;
}

/** The ROM's result from the beginning of the flash. */
export interface Loaded {
  /** Why it does not start the program; undefined: it does. */
  fault?: "no image" | "flash mode" | "segment beyond the flash" | "checksum";
  /** What it prints. If it stops, it does so in the middle of a line. */
  says: string;
}

/** It reads in pieces of this many bytes, and prints how each segment lies in them. */
const PIECE = 16;

/**
 * Loads a program as the ROM does.
 *
 * @param onlyDout Whether the flash can be read in no other mode: inside a chip it lacks the pins, and some cannot.
 */
export function loadImage(flash: Uint8Array, onlyDout = false): Loaded {
  const view = new DataView(flash.buffer, flash.byteOffset, flash.length);
  if (flash[0] !== MAGIC) return { fault: "no image", says: LAST_WORD };
  if (onlyDout && flash[2] !== DOUT) return { fault: "flash mode", says: LAST_WORD };
  const hex = (byte: number) => `0x${byte.toString(16).padStart(2, "0")}`;
  let at = 8;
  let sum = CHECKSUM_SEED;
  let says = "";
  for (let i = 0; i < flash[1]!; i++) {
    const used = at % PIECE;
    const split = i > 0 && used + 8 > PIECE; // the segment's header continues in the next piece
    if (split) says += `ho 0 tail ${used} room ${PIECE - used}\r\n`;
    if (at + 8 > flash.length) return { fault: "segment beyond the flash", says };
    const room = i === 0 ? PIECE : (split ? 2 * PIECE : PIECE) - used - 8;
    const address = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    at += 8;
    says += `load 0x${address.toString(16).padStart(8, "0")}, len ${length | 0}, room ${room} \r\n`;
    if (at + length >= flash.length) return { fault: "segment beyond the flash", says };
    for (const byte of flash.subarray(at, at + length)) sum ^= byte;
    at += length;
    says += `tail ${Math.max(0, length - room) % PIECE}\r\nchksum ${hex(sum)}\r\n`;
  }
  says += `csum ${hex(flash[at | 15] ?? 0xff)}\r\n`;
  return flash[at | 15] === sum
    ? { says }
    : { fault: "checksum", says: `${says}csum err\r\n${LAST_WORD}` };
}

/** Makes an image that the ROM starts. @param mode 0 to 3: QIO, QOUT, DIO, DOUT */
export function makeImage(
  entry: number,
  segments: Segment[],
  mode = DOUT,
): Uint8Array<ArrayBuffer> {
  const length = segments.reduce((sum, { data }) => sum + 8 + data.length, 8);
  const image = new Uint8Array((length | 15) + 1);
  const view = new DataView(image.buffer);
  image.set([MAGIC, segments.length, mode, 0x20]);
  view.setUint32(4, entry, true);
  let at = 8;
  let sum = CHECKSUM_SEED;
  for (const { address, data } of segments) {
    view.setUint32(at, address, true);
    view.setUint32(at + 4, data.length, true);
    image.set(data, at + 8);
    at += 8 + data.length;
    for (const byte of data) sum ^= byte;
  }
  image[image.length - 1] = sum;
  return image;
}
