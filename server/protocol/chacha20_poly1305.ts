/**
 * ChaCha20-Poly1305 of RFC 8439: authenticated encryption of short texts. In TypeScript, because `node:crypto`
 * takes ten times as long for a record of one line. No table index and no branch depends on a secret.
 */

/** Bytes of a key, of a nonce and of a tag. */
export const CIPHER_KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

const BLOCK = 64;

/** A cipher with one key. No nonce may be used twice with it. */
export class Cipher {
  readonly #key = new Uint32Array(8);
  readonly #stream = new Uint32Array(BLOCK / 4);
  readonly #now = new Uint32Array(3); // the nonce
  readonly #mac = new Poly1305();
  readonly #tag = new Uint8Array(TAG_BYTES);

  constructor(key: Uint8Array) {
    if (key.length !== CIPHER_KEY_BYTES) throw new RangeError("a key has 32 bytes");
    for (let i = 0; i < 8; i++) this.#key[i] = word(key, i * 4);
  }

  /**
   * Encrypts a text in place. `bytes` has, from `at` on: `aad` bytes that are only authenticated, `text` bytes to
   * encrypt, and 16 bytes for the tag of both.
   */
  seal(nonce: Uint8Array, bytes: Uint8Array, at: number, aad: number, text: number): void {
    const start = at + aad, end = start + text;
    this.#begin(nonce);
    this.#crypt(bytes, start, end);
    this.#authenticate(bytes, at, start, end);
    for (let i = 0; i < TAG_BYTES; i++) bytes[end + i] = this.#tag[i]!;
  }

  /** Decrypts a text in place, if the tag is right. Otherwise changes nothing, and returns false. */
  open(nonce: Uint8Array, bytes: Uint8Array, at: number, aad: number, text: number): boolean {
    const start = at + aad, end = start + text;
    this.#begin(nonce);
    this.#authenticate(bytes, at, start, end);
    let differs = 0;
    for (let i = 0; i < TAG_BYTES; i++) differs |= this.#tag[i]! ^ bytes[end + i]!;
    if (differs !== 0) return false;
    this.#crypt(bytes, start, end);
    return true;
  }

  #begin(nonce: Uint8Array): void {
    for (let i = 0; i < 3; i++) this.#now[i] = word(nonce, i * 4);
    this.#block(0);
    this.#mac.start(this.#stream);
  }

  /** Computes the tag (section 2.8) of both texts, each padded with zeros, and their lengths. */
  #authenticate(bytes: Uint8Array, at: number, start: number, end: number): void {
    this.#mac.add(bytes, at, start);
    this.#mac.add(bytes, start, end);
    this.#mac.addLengths(start - at, end - start);
    this.#mac.end(this.#tag);
  }

  #crypt(bytes: Uint8Array, start: number, end: number): void {
    const stream = this.#stream;
    for (let at = start, counter = 1; at < end; counter++) {
      this.#block(counter);
      const last = Math.min(at + BLOCK, end);
      let i = 0;
      for (; at + 4 <= last; at += 4) {
        const bits = stream[i++]!;
        bytes[at]! ^= bits;
        bytes[at + 1]! ^= bits >>> 8;
        bytes[at + 2]! ^= bits >>> 16;
        bytes[at + 3]! ^= bits >>> 24;
      }
      for (let bits = stream[i]!; at < last; at++, bits >>>= 8) bytes[at]! ^= bits;
    }
  }

  /** Computes the key stream's block with this number. */
  #block(counter: number): void {
    const k = this.#key;
    const n0 = this.#now[0]!, n1 = this.#now[1]!, n2 = this.#now[2]!;
    let a0 = 0x61707865, a1 = 0x3320646e, a2 = 0x79622d32, a3 = 0x6b206574;
    let b0 = k[0]! | 0, b1 = k[1]! | 0, b2 = k[2]! | 0, b3 = k[3]! | 0;
    let c0 = k[4]! | 0, c1 = k[5]! | 0, c2 = k[6]! | 0, c3 = k[7]! | 0;
    let d0 = counter | 0, d1 = n0 | 0, d2 = n1 | 0, d3 = n2 | 0;
    for (let round = 0; round < 10; round++) {
      // Columns.
      a0 = a0 + b0 | 0, d0 ^= a0, d0 = d0 << 16 | d0 >>> 16;
      c0 = c0 + d0 | 0, b0 ^= c0, b0 = b0 << 12 | b0 >>> 20;
      a0 = a0 + b0 | 0, d0 ^= a0, d0 = d0 << 8 | d0 >>> 24;
      c0 = c0 + d0 | 0, b0 ^= c0, b0 = b0 << 7 | b0 >>> 25;
      a1 = a1 + b1 | 0, d1 ^= a1, d1 = d1 << 16 | d1 >>> 16;
      c1 = c1 + d1 | 0, b1 ^= c1, b1 = b1 << 12 | b1 >>> 20;
      a1 = a1 + b1 | 0, d1 ^= a1, d1 = d1 << 8 | d1 >>> 24;
      c1 = c1 + d1 | 0, b1 ^= c1, b1 = b1 << 7 | b1 >>> 25;
      a2 = a2 + b2 | 0, d2 ^= a2, d2 = d2 << 16 | d2 >>> 16;
      c2 = c2 + d2 | 0, b2 ^= c2, b2 = b2 << 12 | b2 >>> 20;
      a2 = a2 + b2 | 0, d2 ^= a2, d2 = d2 << 8 | d2 >>> 24;
      c2 = c2 + d2 | 0, b2 ^= c2, b2 = b2 << 7 | b2 >>> 25;
      a3 = a3 + b3 | 0, d3 ^= a3, d3 = d3 << 16 | d3 >>> 16;
      c3 = c3 + d3 | 0, b3 ^= c3, b3 = b3 << 12 | b3 >>> 20;
      a3 = a3 + b3 | 0, d3 ^= a3, d3 = d3 << 8 | d3 >>> 24;
      c3 = c3 + d3 | 0, b3 ^= c3, b3 = b3 << 7 | b3 >>> 25;
      // Diagonals.
      a0 = a0 + b1 | 0, d3 ^= a0, d3 = d3 << 16 | d3 >>> 16;
      c2 = c2 + d3 | 0, b1 ^= c2, b1 = b1 << 12 | b1 >>> 20;
      a0 = a0 + b1 | 0, d3 ^= a0, d3 = d3 << 8 | d3 >>> 24;
      c2 = c2 + d3 | 0, b1 ^= c2, b1 = b1 << 7 | b1 >>> 25;
      a1 = a1 + b2 | 0, d0 ^= a1, d0 = d0 << 16 | d0 >>> 16;
      c3 = c3 + d0 | 0, b2 ^= c3, b2 = b2 << 12 | b2 >>> 20;
      a1 = a1 + b2 | 0, d0 ^= a1, d0 = d0 << 8 | d0 >>> 24;
      c3 = c3 + d0 | 0, b2 ^= c3, b2 = b2 << 7 | b2 >>> 25;
      a2 = a2 + b3 | 0, d1 ^= a2, d1 = d1 << 16 | d1 >>> 16;
      c0 = c0 + d1 | 0, b3 ^= c0, b3 = b3 << 12 | b3 >>> 20;
      a2 = a2 + b3 | 0, d1 ^= a2, d1 = d1 << 8 | d1 >>> 24;
      c0 = c0 + d1 | 0, b3 ^= c0, b3 = b3 << 7 | b3 >>> 25;
      a3 = a3 + b0 | 0, d2 ^= a3, d2 = d2 << 16 | d2 >>> 16;
      c1 = c1 + d2 | 0, b0 ^= c1, b0 = b0 << 12 | b0 >>> 20;
      a3 = a3 + b0 | 0, d2 ^= a3, d2 = d2 << 8 | d2 >>> 24;
      c1 = c1 + d2 | 0, b0 ^= c1, b0 = b0 << 7 | b0 >>> 25;
    }
    const s = this.#stream;
    s[0] = a0 + 0x61707865, s[1] = a1 + 0x3320646e, s[2] = a2 + 0x79622d32, s[3] = a3 + 0x6b206574;
    s[4] = b0 + k[0]!, s[5] = b1 + k[1]!, s[6] = b2 + k[2]!, s[7] = b3 + k[3]!;
    s[8] = c0 + k[4]!, s[9] = c1 + k[5]!, s[10] = c2 + k[6]!, s[11] = c3 + k[7]!;
    s[12] = d0 + counter, s[13] = d1 + n0, s[14] = d2 + n1, s[15] = d3 + n2;
  }
}

const padded = new Uint8Array(16);

/** Radix of the sums: products of two digits, six of them, fit the 53 bits of a number. */
const RADIX = 2 ** 22;
const MASK = RADIX - 1;

/** The authenticator: a polynomial in `r`, modulo 2^130 - 5, over blocks of 16 bytes. */
export class Poly1305 {
  readonly #r = new Float64Array(6);
  readonly #h = new Float64Array(6);
  readonly #s = new Uint32Array(4);
  readonly #more = new Float64Array(6);

  /** Starts a text. @param key Eight words, to be used for one text only. */
  start(key: Uint32Array): void {
    const w0 = key[0]! & 0x0fffffff, w1 = key[1]! & 0x0ffffffc;
    const w2 = key[2]! & 0x0ffffffc, w3 = key[3]! & 0x0ffffffc;
    const r = this.#r;
    r[0] = w0 & MASK;
    r[1] = (w0 >>> 22 | w1 << 10) & MASK;
    r[2] = (w1 >>> 12 | w2 << 20) & MASK;
    r[3] = w2 >>> 2 & MASK;
    r[4] = (w2 >>> 24 | w3 << 8) & MASK;
    r[5] = w3 >>> 14;
    this.#h.fill(0);
    for (let i = 0; i < 4; i++) this.#s[i] = key[4 + i]!;
  }

  /** Adds the bytes from `start` to `end`, padded with zeros to whole blocks. */
  add(bytes: Uint8Array, start: number, end: number): void {
    const whole = start + (end - start & ~15);
    this.#blocks(bytes, start, whole);
    if (whole === end) return;
    padded.fill(0);
    for (let i = whole; i < end; i++) padded[i - whole] = bytes[i]!;
    this.#blocks(padded, 0, 16);
  }

  /** Adds whole blocks. */
  #blocks(bytes: Uint8Array, start: number, end: number): void {
    const r = this.#r, h = this.#h;
    const r0 = r[0]!, r1 = r[1]!, r2 = r[2]!, r3 = r[3]!, r4 = r[4]!, r5 = r[5]!;
    // 2^132 is 20, modulo 2^130 - 5.
    const t1 = r1 * 20, t2 = r2 * 20, t3 = r3 * 20, t4 = r4 * 20, t5 = r5 * 20;
    let h0 = h[0]!, h1 = h[1]!, h2 = h[2]!, h3 = h[3]!, h4 = h[4]!, h5 = h[5]!;
    for (let at = start; at < end; at += 16) {
      const w0 = word(bytes, at), w1 = word(bytes, at + 4);
      const w2 = word(bytes, at + 8), w3 = word(bytes, at + 12);
      h0 += w0 & MASK;
      h1 += (w0 >>> 22 | w1 << 10) & MASK;
      h2 += (w1 >>> 12 | w2 << 20) & MASK;
      h3 += w2 >>> 2 & MASK;
      h4 += (w2 >>> 24 | w3 << 8) & MASK;
      h5 += (w3 >>> 14) + 2 ** 18; // and the 1 after each block
      const s0 = h0 * r0 + h1 * t5 + h2 * t4 + h3 * t3 + h4 * t2 + h5 * t1;
      const c0 = Math.floor(s0 / RADIX);
      const s1 = c0 + h0 * r1 + h1 * r0 + h2 * t5 + h3 * t4 + h4 * t3 + h5 * t2;
      const c1 = Math.floor(s1 / RADIX);
      const s2 = c1 + h0 * r2 + h1 * r1 + h2 * r0 + h3 * t5 + h4 * t4 + h5 * t3;
      const c2 = Math.floor(s2 / RADIX);
      const s3 = c2 + h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * t5 + h5 * t4;
      const c3 = Math.floor(s3 / RADIX);
      const s4 = c3 + h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0 + h5 * t5;
      const c4 = Math.floor(s4 / RADIX);
      const s5 = c4 + h0 * r5 + h1 * r4 + h2 * r3 + h3 * r2 + h4 * r1 + h5 * r0;
      const c5 = Math.floor(s5 / RADIX);
      const first = c5 * 20 + (s0 - c0 * RADIX);
      const carry = Math.floor(first / RADIX);
      h0 = first - carry * RADIX;
      h1 = s1 - c1 * RADIX + carry;
      h2 = s2 - c2 * RADIX;
      h3 = s3 - c3 * RADIX;
      h4 = s4 - c4 * RADIX;
      h5 = s5 - c5 * RADIX;
    }
    h[0] = h0, h[1] = h1, h[2] = h2, h[3] = h3, h[4] = h4, h[5] = h5;
  }

  /** Adds a block with the lengths of two texts. */
  addLengths(first: number, second: number): void {
    padded.fill(0);
    put(padded, 0, first);
    put(padded, 8, second);
    this.#blocks(padded, 0, 16);
  }

  end(tag: Uint8Array): void {
    const h = this.#h;
    // Twice: the first pass leaves little more than 2^130, the second less than 2^130.
    for (let time = 0; time < 2; time++) {
      const top = Math.floor(h[5]! / 2 ** 20);
      h[5]! -= top * 2 ** 20;
      carry(h, top * 5);
    }
    // The sum is 2^130 - 5 or more exactly if adding 5 reaches 2^130; then the digits of that sum, without 2^130, are
    // the result.
    const more = this.#more;
    for (let i = 0; i < 6; i++) more[i] = h[i]!;
    carry(more, 5);
    const isMore = Math.floor(more[5]! / 2 ** 20);
    for (let i = 0; i < 6; i++) h[i] = h[i]! * (1 - isMore) + more[i]! * isMore;
    const h0 = h[0]!, h1 = h[1]!, h2 = h[2]!, h3 = h[3]!, h4 = h[4]!, h5 = h[5]!;
    let sum = this.#last(tag, 0, h0 | h1 << 22, 0);
    sum = this.#last(tag, 1, h1 >>> 10 | h2 << 12, sum);
    sum = this.#last(tag, 2, h2 >>> 20 | h3 << 2 | h4 << 24, sum);
    this.#last(tag, 3, h4 >>> 8 | h5 << 14, sum);
  }

  /** A word of the tag. @returns the carry */
  #last(tag: Uint8Array, i: number, value: number, carry: number): number {
    const sum = (value >>> 0) + this.#s[i]! + carry;
    put(tag, i * 4, sum);
    return Math.floor(sum / 2 ** 32);
  }
}

/** Adds a number, and brings all digits but the last below the radix. */
function carry(h: Float64Array, more: number): void {
  for (let i = 0; i < 6; i++) {
    const sum = h[i]! + more;
    more = i < 5 ? Math.floor(sum / RADIX) : 0;
    h[i] = sum - more * RADIX;
  }
}

/** A little-endian word of four bytes. */
function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
}

function put(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
