/**
 * The records of suites 3 and 4: the layer between a socket and the lines of a link once both ends have proven their
 * key. Pure, and the same for both ends. `client-as/SEALING.md` gives the reasons for its design;
 * `bridge/esp8266/firmware/seal.c` does the same on a chip.
 */
import { createHash, hkdfSync } from "node:crypto";
import { Cipher, CIPHER_KEY_BYTES, NONCE_BYTES, TAG_BYTES } from "./chacha20_poly1305.ts";
import { PeerError } from "./errors.ts";
import { concat, FRAME } from "./lines.ts";

/** Bytes of a record besides its contents. */
export const LENGTH_BYTES = 2;
export const RECORD = LENGTH_BYTES + TAG_BYTES;

/** Most bytes in a record: an incomplete record cannot be read, so on a slow path records must be short. */
const MOST = 1024;

const encoder = new TextEncoder();
const LABEL = encoder.encode("holdfast 03");
const EPHEMERAL_LABEL = encoder.encode("holdfast 04");

const NOTHING = new Uint8Array(0);

/** A key for each direction, 32 bytes. */
export interface SealKeys {
  toServer: Uint8Array;
  toDevice: Uint8Array;
}

/**
 * The keys of a link, derived from the device's key and the greeting.
 *
 * @param greeting Everything that the device's proof covers.
 * @param shared The shared secret of the ephemeral keys, in suite 4.
 */
export function sealKeys(
  key: Uint8Array,
  greeting: Uint8Array | string,
  shared?: Uint8Array,
): SealKeys {
  const hash = createHash("sha256").update(greeting).digest();
  const info = concat(shared ? EPHEMERAL_LABEL : LABEL, hash);
  const material = shared ? concat(key, shared) : key;
  const bytes = new Uint8Array(hkdfSync("sha256", material, NOTHING, info, 2 * CIPHER_KEY_BYTES));
  return {
    toServer: bytes.subarray(0, CIPHER_KEY_BYTES),
    toDevice: bytes.subarray(CIPHER_KEY_BYTES),
  };
}

/** Most bytes in a record for an end that accepts texts of this many bytes: it has room for a line. */
function mostFor(line: number): number {
  return Math.min(line + FRAME, MOST);
}

/** One direction: its key, and the number of the next record. */
class Direction {
  readonly #cipher: Cipher;
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  #next = 0; // whole up to 2^53: for 285 years, at a million a second

  constructor(key: Uint8Array) {
    this.#cipher = new Cipher(key);
  }

  /** Seals the record at `at`, whose length is already written. */
  seal(bytes: Uint8Array, at: number, text: number): void {
    this.#cipher.seal(this.#count(), bytes, at, LENGTH_BYTES, text);
  }

  open(bytes: Uint8Array, at: number, text: number): boolean {
    return this.#cipher.open(this.#count(), bytes, at, LENGTH_BYTES, text);
  }

  #count(): Uint8Array {
    let rest = this.#next++;
    for (let at = NONCE_BYTES - 8; at < NONCE_BYTES; at++) {
      this.#nonce[at] = rest;
      rest = Math.floor(rest / 256);
    }
    return this.#nonce;
  }
}

/** The opened bytes, and the error of the record after them, if any. */
export interface Opened {
  bytes: Uint8Array;
  error?: PeerError;
}

/** Both directions of one connection, as one of its ends sees them. */
export class Seal {
  readonly #out: Direction;
  readonly #in: Direction;
  readonly #mostOut: number;
  readonly #mostIn: number;
  #rest: Uint8Array = NOTHING;

  /**
   * @param mine The key of this end's direction, then that of the other end's.
   * @param ownLine Longest text that this end accepts, then the other end, in bytes: from the greeting.
   */
  constructor(mine: Uint8Array, others: Uint8Array, ownLine: number, othersLine: number) {
    this.#out = new Direction(mine);
    this.#in = new Direction(others);
    this.#mostIn = mostFor(ownLine);
    this.#mostOut = mostFor(othersLine);
  }

  /** Seals these bytes in as few records as possible. */
  seal(bytes: Uint8Array): Uint8Array {
    const most = this.#mostOut;
    const records = new Uint8Array(bytes.length + Math.ceil(bytes.length / most) * RECORD);
    for (let from = 0, at = 0; from < bytes.length; from += most) {
      const length = Math.min(most, bytes.length - from);
      records[at] = length >>> 8;
      records[at + 1] = length;
      const text = length === bytes.length ? bytes : bytes.subarray(from, from + length);
      records.set(text, at + LENGTH_BYTES);
      this.#out.seal(records, at, length);
      at += length + RECORD;
    }
    return records;
  }

  /**
   * Takes received bytes, and returns the contents of the records that they complete. Not to be called after an error.
   */
  open(chunk: Uint8Array): Opened {
    // A copy, because it is opened in place.
    const bytes = this.#rest.length === 0 ? chunk.slice() : concat(this.#rest, chunk);
    this.#rest = NOTHING;
    // The contents are moved together, after the first.
    let at = 0, end = LENGTH_BYTES;
    let error: PeerError | undefined;
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = bytes[at]! << 8 | bytes[at + 1]!;
      if (length === 0 || length > this.#mostIn) {
        error = badSeal(`a record of ${length} bytes`);
        break;
      }
      const next = at + length + RECORD;
      if (next > bytes.length) break;
      if (!this.#in.open(bytes, at, length)) {
        error = badSeal(
          "a record was changed, is not the next one, or belongs to another connection",
        );
        break;
      }
      const text = at + LENGTH_BYTES;
      if (text > end) bytes.copyWithin(end, text, text + length);
      end += length;
      at = next;
    }
    if (!error && at < bytes.length) this.#rest = bytes.slice(at);
    const opened = end === LENGTH_BYTES ? NOTHING : bytes.subarray(LENGTH_BYTES, end);
    return error ? { bytes: opened, error } : { bytes: opened };
  }
}

/** The error if the other end's ephemeral key leads to a publicly known secret. */
export function nothingShared(): PeerError {
  return badSeal("the ephemeral key is of small order: it shares no secret");
}

function badSeal(message: string): PeerError {
  return new PeerError("BAD_SEAL", message);
}
