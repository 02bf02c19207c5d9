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

/** A piece of an image that goes to RAM. */
export interface Segment {
  address: number;
  /** A multiple of four bytes. */
  data: Uint8Array;
}

/**
 * Why the ROM would not start what is at the beginning of the flash; undefined: it would.
 *
 * @param onlyDout Whether the flash can be read in no other mode: inside a chip it lacks the pins, and some cannot.
 */
export function imageFault(flash: Uint8Array, onlyDout = false): string | undefined {
  const view = new DataView(flash.buffer, flash.byteOffset, flash.length);
  if (flash[0] !== MAGIC) return "no image";
  if (onlyDout && flash[2] !== DOUT) return "flash mode";
  let at = 8;
  let sum = CHECKSUM_SEED;
  for (let i = 0; i < flash[1]!; i++) {
    if (at + 8 > flash.length) return "segment beyond the flash";
    const length = view.getUint32(at + 4, true);
    at += 8;
    if (at + length >= flash.length) return "segment beyond the flash";
    for (const byte of flash.subarray(at, at + length)) sum ^= byte;
    at += length;
  }
  return flash[at | 15] === sum ? undefined : "checksum";
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
