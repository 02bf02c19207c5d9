import { assert, assertEquals } from "@std/assert";
import { createCipheriv } from "node:crypto";
import { Random } from "../../tests/support/random.ts";
import { bytesOfHex } from "../../tests/vectors/settings/vectors.ts";
import { aead, poly1305 } from "../../tests/vectors/seal/vectors.ts";
import { Cipher, Poly1305, TAG_BYTES } from "./chacha20_poly1305.ts";
import { toHex } from "./greeting.ts";

for (const { name, key, nonce, aad, text, sealed, tag } of aead) {
  Deno.test(`${name}: sealed and opened`, () => {
    const cipher = new Cipher(bytesOfHex(key));
    const [bytes, made] = [bytesOfHex(text), new Uint8Array(TAG_BYTES)];
    cipher.seal(bytesOfHex(nonce), bytesOfHex(aad), bytes, made);
    assertEquals([toHex(bytes), toHex(made)], [sealed, tag]);
    assert(cipher.open(bytesOfHex(nonce), bytesOfHex(aad), bytes, made));
    assertEquals(toHex(bytes), text);
  });
}

for (const { name, key, text, tag } of poly1305) {
  Deno.test(`${name}: sums that carry`, () => {
    const mac = new Poly1305();
    mac.start(new Uint32Array(bytesOfHex(key).buffer));
    mac.add(bytesOfHex(text));
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
    const own = text.slice();
    const tag = new Uint8Array(TAG_BYTES);
    new Cipher(key).seal(nonce, aad, own, tag);
    const theirs = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_BYTES });
    theirs.setAAD(aad, { plaintextLength: length });
    const sealed = theirs.update(text);
    theirs.final();
    assertEquals([toHex(own), toHex(tag)], [toHex(sealed), toHex(theirs.getAuthTag())]);
  }
});

Deno.test("one bit changed anywhere, and nothing is opened", () => {
  const key = new Uint8Array(32).fill(7);
  const nonce = new Uint8Array(12);
  const aad = Uint8Array.of(0, 20);
  const text = new Uint8Array(20).fill(65);
  const cipher = new Cipher(key);
  const tag = new Uint8Array(TAG_BYTES);
  cipher.seal(nonce, aad, text, tag);
  const sealed = text.slice();
  for (const part of [nonce, aad, text, tag]) {
    for (let bit = 0; bit < part.length * 8; bit++) {
      part[bit >> 3]! ^= 1 << (bit & 7);
      const before = text.slice();
      assert(!cipher.open(nonce, aad, text, tag), `bit ${bit}`);
      assertEquals(text, before); // not even shown
      part[bit >> 3]! ^= 1 << (bit & 7);
    }
  }
  assertEquals(text, sealed);
  assert(cipher.open(nonce, aad, text, tag));
  assertEquals(text, new Uint8Array(20).fill(65));
});
