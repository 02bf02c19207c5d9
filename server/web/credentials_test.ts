/** The limits of the file of passwords and tokens. */
import { randomBytes, scryptSync } from "node:crypto";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import { Credentials, hashPassword } from "./credentials.ts";

const SALT = "A".repeat(22);
const HASH = "A".repeat(43);

function fileOf(cost: string, salt = SALT, hash = HASH): string {
  return JSON.stringify({ password: `scrypt ${cost} ${salt} ${hash}` });
}

Deno.test("a password has 8 to 256 characters, and a longer one is not even hashed", async () => {
  for (const length of [7, 257]) {
    await assertRejects(() => hashPassword("x".repeat(length)), LocalError, "8 to 256 characters");
  }
  for (const length of [8, 256]) {
    const password = "€".repeat(length);
    const credentials = Credentials.none.withPassword(await hashPassword(password));
    assertEquals(await credentials.isPassword(password), true);
    assertEquals(await credentials.isPassword(`${password}€`), false);
  }
  assertEquals(await Credentials.none.isPassword("x".repeat(8)), false, "there is no password");
  const [longer, salt] = ["x".repeat(257), randomBytes(16)];
  const hash = scryptSync(longer, salt, 32, { N: 1024, r: 8, p: 1 }).toString("base64url");
  const file = fileOf("10 8 1", salt.toString("base64url"), hash);
  assertEquals(await Credentials.parse(file).isPassword(longer), false);
  assertEquals(await Credentials.parse(file.replace(hash, HASH)).isPassword("x"), false);
});

Deno.test("a password matches however a keyboard composes its letters, and every hash has its own salt", async () => {
  const [hash, other] = [await hashPassword("passwörter"), await hashPassword("passwörter")];
  assertEquals(hash === other, false);
  const credentials = Credentials.none.withPassword(hash);
  assertEquals(await credentials.isPassword("passwo\u0308rter"), true);
  assertEquals(await credentials.isPassword("passworter"), false);
});

Deno.test("a hash whose cost is too high or too low is refused", () => {
  for (const cost of ["10 1 1", "17 8 4", "15 8 1"]) {
    assertEquals(Credentials.parse(fileOf(cost)).tokens.size, 0);
  }
  for (
    const cost of ["9 8 1", "18 8 1", "15 0 1", "15 9 1", "15 8 0", "15 8 5", "15 8", "-1 8 1"]
  ) {
    assertThrows(() => Credentials.parse(fileOf(cost)), LocalError, "must be a hash", cost);
  }
  assertThrows(() => Credentials.parse(fileOf("15 8 1", "A")), LocalError, "must be a hash");
  assertThrows(() => Credentials.parse(fileOf("15 8 1", SALT, "A")), LocalError, "must be a hash");
});

Deno.test("there are at most 64 tokens, and each needs a name, a hash and a right", () => {
  let credentials = Credentials.none;
  for (let n = 0; n < 64; n++) [credentials] = credentials.withToken(`t${n}`, "look");
  assertThrows(() => credentials.withToken("one-more", "look"), LocalError, "already 64 tokens");
  const text = credentials.format();
  assertEquals(Credentials.parse(text).tokens.size, 64);
  const { tokens } = JSON.parse(text);
  const more = JSON.stringify({ tokens: { ...tokens, more: tokens.t0 } });
  assertThrows(() => Credentials.parse(more), LocalError, "more than 64 tokens");
  for (const name of ["", "a/b", "x".repeat(65)]) {
    assertThrows(() => Credentials.none.withToken(name, "look"), LocalError, "1 to 64");
  }
  const sha256 = "0".repeat(64);
  for (
    const [wrong, message] of [
      ['{"tokens": []}', "tokens must be an object"],
      ['{"tokens": {"a": null}}', 'token "a" must be an object'],
      ['{"tokens": {"a": 1}}', 'token "a" must be an object'],
      [`{"tokens": {"a": {"sha256": 1, "may": "look"}}}`, 'token "a" has no sha256'],
      [`{"tokens": {"a": {"sha256": "${sha256}0", "may": "look"}}}`, 'token "a" has no sha256'],
      [`{"tokens": {"a": {"sha256": ["${sha256}"], "may": "look"}}}`, 'token "a" has no sha256'],
      [`{"tokens": {"a": {"sha256": "${sha256}"}}}`, 'token "a" must have "may": "look" or "act"'],
      ["null", "it must be an object"],
    ] as const
  ) assertThrows(() => Credentials.parse(wrong), LocalError, message, wrong);
});

Deno.test("a token has the right that it was created with, and none after it was removed", () => {
  const [one, look] = Credentials.none.withToken("one", "look");
  const [both, act] = one.withToken("two", "act");
  assertEquals([look, act].map((token) => both.rightOf(token)), ["look", "act"]);
  assertEquals([look, act].map((token) => both.withoutToken("one").rightOf(token)), [
    undefined,
    "act",
  ]);
  assertEquals([one.rightOf(act), both.rightOf("")], [undefined, undefined]);
});
