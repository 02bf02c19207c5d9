/**
 * A key pair for one connection (X25519, RFC 7748), in suite 4: the shared secret goes into the seal together with the
 * device's key, and is then forgotten. `bridge/esp8266/firmware/x25519.c` does the same on a chip.
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { toHex } from "./greeting.ts";

const BYTES = 32;

/** DER prefix of a key (RFC 8410): `node:crypto` does not accept raw keys. */
const PKCS8 = Uint8Array.fromHex("302e020100300506032b656e04220420");
const SPKI = Uint8Array.fromHex("302a300506032b656e032100");

/** One connection's pair. */
export class Ephemeral {
  readonly #secret: KeyObject;
  /** The public key for the other end, 64 hex digits. */
  readonly publicKey: string;

  /** @param secret 32 random bytes. */
  constructor(secret: Uint8Array = crypto.getRandomValues(new Uint8Array(BYTES))) {
    this.#secret = createPrivateKey({ key: der(PKCS8, secret), format: "der", type: "pkcs8" });
    const { x } = createPublicKey(this.#secret as never).export({ format: "jwk" });
    this.publicKey = toHex(Buffer.from(x!, "base64url"));
  }

  /**
   * The shared secret.
   *
   * @param publicKey The other end's, 64 hex digits.
   * @returns 32 bytes; undefined: it is not a valid key, or one of small order, with which they would always be
   * zeros
   */
  share(publicKey: string): Uint8Array | undefined {
    if (!/^[0-9a-f]{64}$/.test(publicKey)) return undefined;
    const key = der(SPKI, Uint8Array.fromHex(publicKey));
    const theirs = createPublicKey({ key, format: "der", type: "spki" });
    let shared;
    try {
      shared = new Uint8Array(diffieHellman({ privateKey: this.#secret, publicKey: theirs }));
    } catch (error) {
      if ((error as { code?: unknown }).code === NOTHING_SHARED) return undefined;
      throw error;
    }
    return shared.some((byte) => byte !== 0) ? shared : undefined;
  }
}

/** OpenSSL's error for a key that leads to zeros; it reports nothing else with it. */
const NOTHING_SHARED = "ERR_OSSL_FAILED_DURING_DERIVATION";

function der(start: Uint8Array, key: Uint8Array): Buffer {
  return Buffer.concat([start, key]);
}
