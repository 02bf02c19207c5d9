/** Keys, and proofs of having a key. */
import { createHmac } from "node:crypto";
import { LocalError } from "./errors.ts";
import { type KeyedSuite, toHex } from "./greeting.ts";

/** Bytes of a key. */
export const KEY_BYTES = 32;

/** Parses a key. @param key 64 hex digits, or 32 bytes. @throws {LocalError} BAD_ARGUMENT */
export function parseKey(id: string, key: string | Uint8Array): Uint8Array {
  if (typeof key !== "string") {
    if (key.length === KEY_BYTES) return key.slice();
  } else if (/^[0-9a-fA-F]{64}$/.test(key)) {
    return Uint8Array.from(key.match(/../g)!, (digits) => parseInt(digits, 16));
  }
  throw new LocalError(
    "BAD_ARGUMENT",
    `the key of ${JSON.stringify(id)} must be 64 hex digits or 32 bytes`,
  );
}

/** A device's key, as the server stores it. */
export interface DeviceKey {
  /** The key's 32 bytes. */
  bytes: Uint8Array;
  /** The minimum suite for a device with this key. */
  suite: KeyedSuite;
}

/** A key as text: the digits may follow a prefix with the minimum suite, if that is not 2. */
const TEXT = /^(?:0([34]):)?([0-9a-fA-F]{64})$/;

/**
 * Parses a key and its minimum suite.
 *
 * @param key As for `parseKey`; the prefix "03:" requires sealed links, "04:" ephemeral keys.
 * @throws {LocalError} BAD_ARGUMENT
 */
export function parseDeviceKey(id: string, key: string | Uint8Array | DeviceKey): DeviceKey {
  if (typeof key === "object" && "suite" in key) return { ...key, bytes: parseKey(id, key.bytes) };
  const [, suite = "2", digits = key] = typeof key === "string" ? TEXT.exec(key) ?? [] : [];
  return { bytes: parseKey(id, digits), suite: Number(suite) as KeyedSuite };
}

/** The inverse of `parseDeviceKey`. */
export function formatDeviceKey({ bytes, suite }: DeviceKey): string {
  return `${suite === 2 ? "" : `0${suite}:`}${toHex(bytes)}`;
}

/**
 * The proof of dialect 2's suites with a key: HMAC-SHA256 of all bytes of the greeting so far, truncated to 128 bits.
 */
export function proofOf(key: Uint8Array, greeting: string): string {
  return hmac(key, greeting);
}

/**
 * The mask for the positions in a welcome with this nonce, made from its last 128 bits. A proof never covers so few
 * bytes.
 */
export function maskOf(key: Uint8Array, nonce: string): string {
  return hmac(key, nonce.slice(-32));
}

/** 32 hex digits. */
function hmac(key: Uint8Array, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex").slice(0, 32);
}
