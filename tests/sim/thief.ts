/**
 * Checks of ephemeral keys: notes the secrets as they are drawn; checks that none is used twice, and that somebody who
 * has recorded a greeting and learns the device's key later cannot derive the keys of its records.
 */
import { createHash, hkdfSync } from "node:crypto";
import { Ephemeral } from "../../server/protocol/ephemeral.ts";
import { concat } from "../../server/protocol/lines.ts";
import type { SealKeys } from "../../server/protocol/seal.ts";
import { Violation } from "../../bridge/testing/violation.ts";

const BYTES = 32;

const NOTHING = new Uint8Array(0);

/** The drawn secrets; each gets its public key when it is first needed. */
let drawn: { secret: Uint8Array; pair?: Ephemeral }[] = [];
let used = new Set<string>();

/** A world begins. */
export function forgetDraws(): void {
  drawn = [];
  used = new Set();
}

/** Something was drawn, which may be a secret. */
export function noteDraw(array: ArrayBufferView): void {
  if (!(array instanceof Uint8Array) || array.length !== BYTES) return;
  drawn.push({ secret: array.slice() });
}

/**
 * The shared secret of a device and its server, by their public keys; undefined: the impostor's is not a key.
 *
 * @throws {Violation} nobody has drawn the device's secret
 */
export function sharedOf(device: string, server: string): Uint8Array | undefined {
  // The newest first: computing a pair is slow, and a crowd draws many.
  const own = drawn.findLast((draw) =>
    (draw.pair ??= new Ephemeral(draw.secret)).publicKey === device
  );
  if (!own) throw new Violation(`the secret of the ephemeral key ${device} was not drawn`);
  return own.pair!.share(server);
}

/** Notes the keys of a sealed connection. @throws {Violation} an earlier connection had one of them */
export function useOnce(...publicKeys: string[]): void {
  for (const key of publicKeys) {
    if (used.has(key)) throw new Violation(`the ephemeral key ${key} is used again`);
    used.add(key);
  }
}

/** @throws {Violation} the keys of the records follow from the device's key and the greeting alone */
export function stealKeys(key: Uint8Array, greeting: Uint8Array, keys: SealKeys): void {
  const info = concat(
    new TextEncoder().encode("holdfast 04"),
    createHash("sha256").update(greeting).digest(),
  );
  for (const guess of [NOTHING, new Uint8Array(BYTES), key]) {
    const made = new Uint8Array(hkdfSync("sha256", concat(key, guess), NOTHING, info, 2 * BYTES));
    if (made.toHex() === keys.toServer.toHex() + keys.toDevice.toHex()) {
      throw new Violation("whoever has the device's key can read what was recorded before");
    }
  }
}
