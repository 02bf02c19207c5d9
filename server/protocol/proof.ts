/** Keys, and what proves that one has a key. */
import { createHmac } from "node:crypto";
import { LocalError } from "./errors.ts";
import { type KeyedSuite, toHex } from "./greeting.ts";

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
    `the key of ${JSON.stringify(id)} must be 64 hex digits or 32 bytes`,
  );
}

/** A key as a server has it. */
export interface DeviceKey {
  /** 32 of them. */
  bytes: Uint8Array;
  /** The least that a device with this key may speak. */
  suite: KeyedSuite;
}

/** The prefix of a key that is only for sealed links. */
const SEALED_MARK = "03:";

/**
 * A key and the suite that it is for.
 *
 * @param key As for `parseKey`; "03:" in front of the digits says that it is for sealed links alone.
 * @throws {LocalError} BAD_ARGUMENT
 */
export function parseDeviceKey(id: string, key: string | Uint8Array | DeviceKey): DeviceKey {
  if (typeof key === "object" && "suite" in key) return { ...key, bytes: parseKey(id, key.bytes) };
  const isSealed = typeof key === "string" && key.startsWith(SEALED_MARK);
  const bytes = parseKey(id, isSealed ? key.slice(SEALED_MARK.length) : key);
  return { bytes, suite: isSealed ? 3 : 2 };
}

/** The opposite of `parseDeviceKey`. */
export function formatDeviceKey({ bytes, suite }: DeviceKey): string {
  return `${suite === 3 ? SEALED_MARK : ""}${toHex(bytes)}`;
}

/** The proof of dialect 2's suites 2 and 3: HMAC-SHA256 of all bytes of the greeting so far, cut to 128 bits. */
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
