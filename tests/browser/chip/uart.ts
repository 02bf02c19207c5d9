/**
 * Speeds of a serial line that do not match.
 *
 * @module
 */

/** Whether a receiver at one speed understands a sender at the other: within 3 %. */
export function understands(a: number, b: number): boolean {
  return Math.abs(a - b) <= 0.03 * b;
}

/**
 * What a receiver gets from bytes sent at another speed: rubbish, more or less of it depending on its speed; always the
 * same for the same bytes, and never nothing.
 */
export function garble(bytes: Uint8Array, sentAt: number, heardAt: number): Uint8Array {
  if (bytes.length === 0) return bytes;
  const out = new Uint8Array(Math.max(1, Math.round(bytes.length * heardAt / sentAt)));
  for (let i = 0; i < out.length; i++) {
    const from = bytes[Math.floor(i * bytes.length / out.length)]!;
    out[i] = (from * 167 + i * 59 + 13) % 251 | 0x80;
  }
  return out;
}

/** Bytes after a cable that is too long for the speed: about one in `every` is wrong. */
export function flipBits(bytes: Uint8Array, every: number, offset: number): Uint8Array {
  const out = bytes.slice();
  for (let i = every - 1 - offset % every; i < out.length; i += every) out[i]! ^= 0x10;
  return out;
}
