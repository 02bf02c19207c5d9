/** Faults between the page and a board. The words for people are in `words/faults.ts`. */

export type FlashCode =
  | "PORT_BUSY" // the port does not open: in use, or not permitted
  | "LOST" // unplugged, or the adapter reset
  | "NO_SYNC" // the board says something, but its loader does not answer: not in boot mode
  | "SILENT" // nothing at all is heard
  | "WRONG_CHIP"
  | "NO_STUB" // the flashing program does not start in the chip's memory
  | "FLASH_SILENT" // the chip answers, its flash does not
  | "WRITE_FAILED"
  | "VERIFY_FAILED" // the flash does not contain what was written
  | "READ_FAILED"
  | "ERASE_FAILED"
  | "STOPPED" // by the user
  | "NO_IMPROV" // the board's program does not answer on its serial line
  | "WIFI_REFUSED" // it answers that it cannot join
  | "BAD_IMAGE" // a file in the wrong format, or damaged
  | "BAD_PLAN" // parts that overlap or do not fit
  | "NOT_CHOSEN" // a file that is needed was not chosen
  | "NO_FILE"; // an image could not be fetched or read

/** An error with the information that a user needs to act on it. */
export class FlashError extends Error {
  override name = "FlashError";

  constructor(
    readonly code: FlashCode,
    message: string,
    /** Address in the flash where it happened. */
    readonly address?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** `0x0f0000`: six digits, as all addresses on the page. */
export function hex(address: number): string {
  return `0x${address.toString(16).padStart(6, "0")}`;
}
