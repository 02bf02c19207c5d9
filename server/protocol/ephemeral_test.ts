import { assertEquals, assertNotEquals } from "@std/assert";
import { iterated, x25519, zeros } from "../../tests/vectors/seal/vectors.ts";
import { bytesOfHex } from "../../tests/vectors/settings/vectors.ts";
import { Ephemeral } from "./ephemeral.ts";
import { toHex } from "./greeting.ts";

/** The base point of X25519, from which public keys are made. */
const BASE = `09${"00".repeat(31)}`;

for (const { name, scalar, point, shared } of x25519) {
  Deno.test(`${name}: the shared secret`, () => {
    const pair = new Ephemeral(bytesOfHex(scalar));
    assertEquals(toHex(pair.share(point)!), shared);
    if (point === BASE) assertEquals(pair.publicKey, shared);
  });
}

Deno.test(`RFC 7748, 5.2, after ${iterated.times} iterations`, () => {
  let [scalar, point] = [iterated.start, iterated.start];
  for (let n = 0; n < iterated.times; n++) {
    [scalar, point] = [toHex(new Ephemeral(bytesOfHex(scalar)).share(point)!), scalar];
  }
  assertEquals(scalar, iterated.end);
});

Deno.test("a key of small order shares nothing, whatever the secret is", () => {
  for (const key of zeros) {
    for (let n = 0; n < 10; n++) assertEquals(new Ephemeral().share(key), undefined, key);
  }
});

Deno.test("a malformed key shares nothing", () => {
  const good = new Ephemeral().publicKey;
  for (const key of ["", good.slice(1), `${good}0`, `${good.slice(1)}g`, good.slice(2) + "A9"]) {
    assertEquals(new Ephemeral().share(key), undefined, key);
  }
});

Deno.test("each pair is new, and both ends share the same secret", () => {
  const [a, b] = [new Ephemeral(), new Ephemeral()];
  assertNotEquals(a.publicKey, b.publicKey);
  assertEquals(a.share(b.publicKey), b.share(a.publicKey));
});
