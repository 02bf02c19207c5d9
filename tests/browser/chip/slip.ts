/**
 * Frames on a serial line, as the chip's loaders send and expect them (SLIP, RFC 1055): a frame between two
 * 0xC0, which inside are written 0xDB 0xDC, and 0xDB as 0xDB 0xDD.
 *
 * @module
 */

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

/** The bytes of one frame on the line. */
export function slipFrame(data: Uint8Array): Uint8Array {
  const out = [END];
  for (const byte of data) {
    if (byte === END) out.push(ESC, ESC_END);
    else if (byte === ESC) out.push(ESC, ESC_ESC);
    else out.push(byte);
  }
  out.push(END);
  return Uint8Array.from(out);
}

/** Extracts frames from the bytes of a line. Bytes between frames are dropped. */
export class SlipReader {
  #frame: number[] | undefined;
  #escaped = false;

  /** The frames that these bytes complete. A wrong escape ends its frame, as it does in the chip. */
  push(bytes: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (const byte of bytes) {
      if (byte === END) {
        // Two in a row are the end of one frame and the start of the next, or a repeated start.
        if (this.#frame !== undefined && this.#frame.length > 0) {
          frames.push(Uint8Array.from(this.#frame));
          this.#frame = undefined;
        } else this.#frame = [];
        this.#escaped = false;
      } else if (this.#frame === undefined) continue;
      else if (this.#escaped) {
        this.#escaped = false;
        if (byte === ESC_END) this.#frame.push(END);
        else if (byte === ESC_ESC) this.#frame.push(ESC);
        else this.#frame = undefined;
      } else if (byte === ESC) this.#escaped = true;
      else this.#frame.push(byte);
    }
    return frames;
  }
}
