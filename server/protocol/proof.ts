/** Keys, and what proves that one has a key. */
import { createHmac } from "node:crypto";
import { LocalError } from "./errors.ts";

/** Bytes of a key. */
export const KEY_BYTES = 32;

/** A key as its bytes. @param key 64 hex digits, or 32 bytes. @throws {LocalError} BAD_ARGUMENT */
export function parseKey(id: string, key: string | Uint8Array): Uint8Array {
  if (typeof key !== "string") {
    if (key.length === KEY_BYTES) return key.slice();
  } else if (/^[0-9a-fA-F]{64}$/.test(key)) {
    return Uint8Array.from(key.match(/../g)!, (digits) => parseInt(digits, 16));
  }
  throw new LocalError(
    "BAD_ARGUMENT",
    `the key of ${JSON.stringify(id)} is not 64 hex digits, nor 32 bytes`,
  );
}

/** The proof of dialect 2's suite 2: HMAC-SHA256 of all bytes of the greeting so far, cut to 128 bits. */
export function proofOf(key: Uint8Array, greeting: string): string {
  return hmac(key, greeting);
}

/** What hides the positions in a welcome with this nonce. No proof is of so few bytes. */
export function maskOf(key: Uint8Array, nonce: string): string {
  return hmac(key, nonce);
}

/** 32 hex digits. */
function hmac(key: Uint8Array, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex").slice(0, 32);
}
