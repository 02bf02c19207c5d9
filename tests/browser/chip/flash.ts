/**
 * A serial flash chip: erasing sets every bit of a sector, writing can only clear bits.
 *
 * @module
 */

/** Bytes of a sector, the smallest unit that can be erased. */
export const SECTOR = 4096;
/** Sectors in a block, which can be erased at once. */
export const SECTORS_PER_BLOCK = 16;

/** Device codes, the third byte of a flash id: the exponent of the size. */
const SIZE_CODES: Record<number, number> = {
  [256 * 1024]: 0x12,
  [512 * 1024]: 0x13,
  [1024 * 1024]: 0x14,
  [2 * 1024 * 1024]: 0x15,
  [4 * 1024 * 1024]: 0x16,
};

/** The flash beside the processor. */
export class Flash {
  /** Its contents. Tests may read and set them; the chip writes through the methods. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How often each sector was erased. */
  readonly erasures: Uint32Array;

  /**
   * It starts blank.
   *
   * @param size In bytes: 256 or 512 KB, or 1, 2 or 4 MB.
   * @param claim The size in its id. If it is larger than the real one, addresses wrap around.
   */
  constructor(readonly size: number, readonly claim = size) {
    for (const bytes of [size, claim]) {
      if (!(bytes in SIZE_CODES)) throw new RangeError(`no flash of ${bytes} bytes is modelled`);
    }
    this.bytes = new Uint8Array(size).fill(0xff);
    this.erasures = new Uint32Array(size / SECTOR);
  }

  /** As RDID (0x9F) gives it: manufacturer in the low byte, device above. */
  get id(): number {
    return 0xef | 0x40 << 8 | SIZE_CODES[this.claim]! << 16;
  }

  /** Whether all of a range is in the chip, according to its id. */
  has(address: number, length: number): boolean {
    return address >= 0 && length >= 0 && address + length <= this.claim;
  }

  /** Erases sectors by number; missing ones are ignored, as on the real bus. */
  eraseSectors(first: number, count: number): void {
    const end = Math.min(first + count, this.claim / SECTOR);
    for (let at = first; at < end; at++) {
      const sector = at % this.erasures.length;
      this.bytes.fill(0xff, sector * SECTOR, (sector + 1) * SECTOR);
      this.erasures[sector]!++;
    }
  }

  /** Writes bytes: a bit that is 0 stays 0. Returns false, with nothing written, past the end. */
  program(address: number, data: Uint8Array): boolean {
    if (!this.has(address, data.length)) return false;
    for (let i = 0; i < data.length; i++) this.bytes[(address + i) % this.size]! &= data[i]!;
    return true;
  }

  /** Reads bytes; undefined past the end. */
  read(address: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    if (!this.has(address, length)) return undefined;
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.bytes[(address + i) % this.size]!;
    return bytes;
  }
}
