/**
 * What a simulated world knows of ephemeral keys: the secrets, as it has seen them drawn; that none is used twice; and that
 * whoever has recorded a greeting, and learns the device's key later, does not have the keys of its records.
 */
import { createHash, hkdfSync } from "node:crypto";
import { Ephemeral } from "../../server/protocol/ephemeral.ts";
import { concat } from "../../server/protocol/lines.ts";
import type { SealKeys } from "../../server/protocol/seal.ts";
import { Violation } from "./promises.ts";

const BYTES = 32;

/** Draws that are remembered: more than greetings can be under way. */
const KEPT = 400;

const NOTHING = new Uint8Array(0);

/** By their public keys; those that were not asked for yet have none. */
let drawn: { secret: Uint8Array; pair?: Ephemeral }[] = [];
let used = new Set<string>();

/** A world begins. */
export function forgetDraws(): void {
  drawn = [];
  used = new Set();
}

/** Something was drawn, which may be a secret. */
export function noteDraw(array: Uint8Array | Uint32Array): void {
  if (!(array instanceof Uint8Array) || array.length !== BYTES) return;
  drawn.push({ secret: array.slice() });
  if (drawn.length > KEPT) drawn.shift();
}

/** What a device and its server share, by their public keys. @throws {Violation} nobody has drawn its secret */
export function sharedOf(device: string, server: string): Uint8Array {
  const own = drawn.find((draw) => (draw.pair ??= new Ephemeral(draw.secret)).publicKey === device);
  const shared = own?.pair?.share(server);
  if (!shared) throw new Violation(`the secret of the ephemeral key ${device} was not drawn`);
  return shared;
}

/** A connection is sealed. @throws {Violation} one of its ephemeral keys was on an earlier one */
export function useOnce(...publicKeys: string[]): void {
  for (const key of publicKeys) {
    if (used.has(key)) throw new Violation(`the ephemeral key ${key} is used again`);
    used.add(key);
  }
}

/** @throws {Violation} the keys of the records come of the device's key and the greeting alone */
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
