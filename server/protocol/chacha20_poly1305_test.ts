import { assert, assertEquals } from "@std/assert";
import { createCipheriv } from "node:crypto";
import { Random } from "../../tests/support/random.ts";
import { bytesOfHex } from "../../tests/vectors/settings/vectors.ts";
import { aead, poly1305 } from "../../tests/vectors/seal/vectors.ts";
import { Cipher, Poly1305, TAG_BYTES } from "./chacha20_poly1305.ts";
import { toHex } from "./greeting.ts";

/** At offset `AT`: the bytes to authenticate, the bytes to encrypt, and room for the tag. */
function laidOut(aad: Uint8Array, text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(AT + aad.length + text.length + TAG_BYTES);
  bytes.set(aad, AT);
  bytes.set(text, AT + aad.length);
  return bytes;
}

const AT = 3;

for (const { name, key, nonce, aad, text, sealed, tag } of aead) {
  Deno.test(`${name}: sealed and opened`, () => {
    const cipher = new Cipher(bytesOfHex(key));
    const [open, shut] = [bytesOfHex(aad), bytesOfHex(text)];
    const bytes = laidOut(open, shut);
    cipher.seal(bytesOfHex(nonce), bytes, AT, open.length, shut.length);
    assertEquals(toHex(bytes), `000000${aad}${sealed}${tag}`);
    assert(cipher.open(bytesOfHex(nonce), bytes, AT, open.length, shut.length));
    assertEquals(toHex(bytes), `000000${aad}${text}${tag}`);
  });
}

for (const { name, key, text, tag } of poly1305) {
  Deno.test(`${name}: sums that carry`, () => {
    const mac = new Poly1305();
    mac.start(new Uint32Array(bytesOfHex(key).buffer));
    const bytes = bytesOfHex(text);
    mac.add(bytes, 0, bytes.length);
    const made = new Uint8Array(TAG_BYTES);
    mac.end(made);
    assertEquals(toHex(made), tag);
  });
}

Deno.test("texts of every length are sealed as node:crypto does it", () => {
  const random = new Random(8439);
  const bytes = (length: number) => Uint8Array.from({ length }, () => random.int(0, 255));
  for (let length = 0; length < 300; length++) {
    const [key, nonce, aad, text] = [bytes(32), bytes(12), bytes(random.int(0, 39)), bytes(length)];
    if (length % 3 === 0) key.fill(255), text.fill(255);
    const own = laidOut(aad, text);
    new Cipher(key).seal(nonce, own, AT, aad.length, length);
    const theirs = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES });
    theirs.setAAD(aad, { plaintextLength: length });
    const sealed = theirs.update(text);
    theirs.final();
    assertEquals(
      toHex(own.subarray(AT + aad.length)),
      toHex(sealed) + toHex(theirs.getAuthTag()),
    );
  }
});

Deno.test("if one bit is changed anywhere, nothing is opened", () => {
  const nonce = new Uint8Array(12);
  const [aad, text] = [Uint8Array.of(0, 20), new Uint8Array(20).fill(65)];
  const cipher = new Cipher(new Uint8Array(32).fill(7));
  const bytes = laidOut(aad, text);
  cipher.seal(nonce, bytes, AT, 2, 20);
  const sealed = bytes.slice();
  for (const part of [nonce, bytes.subarray(AT)]) {
    for (let bit = 0; bit < part.length * 8; bit++) {
      part[bit >> 3]! ^= 1 << (bit & 7);
      const before = bytes.slice();
      assert(!cipher.open(nonce, bytes, AT, 2, 20), `bit ${bit}`);
      assertEquals(bytes, before); // nothing was decrypted
      part[bit >> 3]! ^= 1 << (bit & 7);
    }
  }
  assertEquals(bytes, sealed);
  assert(cipher.open(nonce, bytes, AT, 2, 20));
  assertEquals(
    bytes,
    laidOut(aad, text).fill(0, -TAG_BYTES).map((byte, i) => i < AT + 22 ? byte : sealed[i]!),
  );
});
