/** A chip under its loader, as the rest of the page sees it. {@link openChip} in `loader.ts` makes one. */

/** What a chip says about itself. */
export interface ChipFacts {
  /** `ESP8266EX` or `ESP8285` */
  name: string;
  /** `5c:cf:7f:01:02:03` */
  mac: string;
  /** Bytes of its flash. */
  flashBytes: number;
  /** Maker and device of the flash, six hex digits, as other tools print it. */
  flashId: string;
}

/** Called with the number of bytes transferred. May throw to end the transfer. */
export type Progress = (done: number) => void;

/** Every method may throw a FlashError; after LOST none works any more. Only one call at a time. */
export interface Chip {
  readonly facts: ChipFacts;
  /** The speed now, in baud: it falls back to 115200 when the fast one fails. */
  readonly baud: number;
  /** Erases the sectors that the data touches, writes it, and compares the MD5 of each 64 KB. */
  write(address: number, data: Uint8Array, progress?: Progress): Promise<void>;
  /** Reads, and compares the MD5 of each 64 KB. */
  read(address: number, length: number, progress?: Progress): Promise<Uint8Array>;
  /** MD5 of a range of the flash, computed by the chip, 32 hex digits. */
  md5(address: number, length: number): Promise<string>;
  /** Erases all of the flash: seconds to minutes. */
  erase(): Promise<void>;
  /** Closes the port. The chip stays in its loader until it is reset. */
  close(): Promise<void>;
  /** Starts the board's program, and closes the port. Never throws. */
  leave(): Promise<void>;
}

/** Bytes of a sector, the smallest unit that can be erased. */
export const SECTOR = 4096;
