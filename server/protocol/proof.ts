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

/** A key as text: what stands before its digits is the least suite that it is for, unless that is 2. */
const TEXT = /^(?:0([34]):)?([0-9a-fA-F]{64})$/;

/**
 * A key and the suite that it is for.
 *
 * @param key As for `parseKey`; "03:" in front of the digits says that it is for sealed links alone, "04:" that it is
 * for those with ephemeral keys.
 * @throws {LocalError} BAD_ARGUMENT
 */
export function parseDeviceKey(id: string, key: string | Uint8Array | DeviceKey): DeviceKey {
  if (typeof key === "object" && "suite" in key) return { ...key, bytes: parseKey(id, key.bytes) };
  const [, suite = "2", digits = key] = typeof key === "string" ? TEXT.exec(key) ?? [] : [];
  return { bytes: parseKey(id, digits), suite: Number(suite) as KeyedSuite };
}

/** The opposite of `parseDeviceKey`. */
export function formatDeviceKey({ bytes, suite }: DeviceKey): string {
  return `${suite === 2 ? "" : `0${suite}:`}${toHex(bytes)}`;
}

/** The proof of dialect 2's suites with a key: HMAC-SHA256 of all bytes of the greeting so far, cut to 128 bits. */
export function proofOf(key: Uint8Array, greeting: string): string {
  return hmac(key, greeting);
}

/** What hides the positions in a welcome with this nonce: made of its last 128 bits. No proof is of so few bytes. */
export function maskOf(key: Uint8Array, nonce: string): string {
  return hmac(key, nonce.slice(-32));
}

/** 32 hex digits. */
function hmac(key: Uint8Array, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex").slice(0, 32);
}
