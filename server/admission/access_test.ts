import { assert, assertEquals, assertThrows } from "@std/assert";
import { Access, type AccessOptions, Refused } from "./access.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { parseKey } from "../protocol/proof.ts";

const KEY = "00112233445566778899aabbccddeeff".repeat(2);
const OTHER_KEY = "f".repeat(64);

function keysOf(ids: string, key = KEY): [string, string][] {
  return Array.from(ids, (id) => [id, key]);
}

/** The refusal code that the other end gets. */
function refusal(call: () => void): number {
  return assertThrows(call, Refused).refusal;
}

// Who may connect.

Deno.test("two keys for one id are refused, and nothing has changed", () => {
  const access = new Access({ keys: [["1", "a".repeat(64)]] });
  const twice: [string, string][] = [["2", "b".repeat(64)], ["2", "b".repeat(64)]];
  assertThrows(() => access.setKeys(twice), LocalError, 'two keys for "2"');
  assert(access.keyFor({ id: "1", suite: 2 }));
});

Deno.test("a server that could admit nobody is refused, with what to do about it", () => {
  const error = assertThrows(() => new Access({}), LocalError, "--keys");
  assertEquals(error.code, "NOT_OPEN");
  assertThrows(() => new Access({ keys: [], stock: [], open: false }), LocalError, "--open");
});

/** Which devices are admitted: "1", with its refusal in dialect 2, suites 00 and 02, and in dialect 1. */
const policies: [string, AccessOptions, { plain: unknown; proving: unknown; stock: boolean }][] = [
  ["a key", { keys: keysOf("1") }, { plain: 3, proving: "key", stock: false }],
  ["a key, and the server is open", { keys: keysOf("1"), open: true }, {
    plain: 3,
    proving: "key",
    stock: false,
  }],
  ["a key, and is named as stock", { keys: keysOf("1"), stock: ["1"] }, {
    plain: 3,
    proving: "key",
    stock: false,
  }],
  ["no key, and the server is open", { open: true }, { plain: "none", proving: 4, stock: true }],
  ["no key, and others have", { keys: keysOf("2") }, { plain: 1, proving: 4, stock: false }],
  ["no key, and is named as stock", { stock: ["2", "1"] }, { plain: 1, proving: 4, stock: true }],
  ["no key, and others are stock", { stock: ["2"] }, { plain: 1, proving: 4, stock: false }],
];

for (const [who, options, expected] of policies) {
  Deno.test(`a device that has ${who}: whether it is admitted, and its refusal code if not`, () => {
    const access = new Access(options);
    const ask = (suite: 0 | 2): unknown => {
      try {
        return access.keyFor({ id: "1", suite }) ? "key" : "none";
      } catch (error) {
        assert(error instanceof Refused && error.code === "NOT_ADMITTED", `${error}`);
        return error.refusal;
      }
    };
    assertEquals([ask(0), ask(2)], [expected.plain, expected.proving]);
    if (expected.stock) return access.checkStock("1");
    assertEquals(assertThrows(() => access.checkStock("1"), PeerError).code, "NOT_ADMITTED");
  });
}

// Keys.

Deno.test("a key is 64 hex digits or 32 bytes; the error for a wrong one does not repeat it", () => {
  const bytes = parseKey("1", KEY);
  assertEquals(parseKey("1", KEY.toUpperCase()), bytes);
  assertEquals(parseKey("1", bytes), bytes);
  const secret = "5ec3e7";
  for (
    const wrong of [
      secret,
      KEY.slice(2),
      `${KEY}00`,
      ` ${KEY}`,
      `0x${KEY.slice(2)}`,
      "g".repeat(64),
    ]
  ) {
    const error = assertThrows(
      () => new Access({ keys: [["1", wrong]] }),
      LocalError,
      'key of "1"',
    );
    assertEquals(error.code, "BAD_ARGUMENT");
    assert(!Deno.inspect(error).includes(wrong));
  }
  assertThrows(() => parseKey("1", new Uint8Array(31)), LocalError);
});

Deno.test("a key is copied: changing the caller's bytes later does not change it", () => {
  const bytes = parseKey("1", KEY);
  const access = new Access({ keys: [["1", bytes]] });
  bytes.fill(0);
  assertEquals(access.keyFor({ id: "1", suite: 2 }), parseKey("1", KEY));
});

Deno.test("printing an object that has the keys does not show them", () => {
  const access = new Access({ keys: keysOf("1") });
  const options = { depth: 10, showHidden: true, getters: true };
  const shown = `${Deno.inspect(access, options)} ${JSON.stringify(access)}`;
  assert(!shown.includes(KEY.slice(0, 8)) && !shown.includes("17,"), shown);
});

Deno.test("new keys replace all old ones, and the changed ones are returned", () => {
  const access = new Access({ keys: keysOf("1234") });
  const [same] = [access.keyFor({ id: "2", suite: 2 })];
  const changed = access.setKeys([...keysOf("24"), ...keysOf("3", OTHER_KEY), ...keysOf("5")]);
  assertEquals([...changed].sort(), ["1", "3", "5"]);
  assert(access.keyFor({ id: "2", suite: 2 }) === same, "the same key is the same object");
  assertEquals(refusal(() => access.keyFor({ id: "1", suite: 2 })), 4);
  assertEquals(access.keyFor({ id: "3", suite: 2 }), parseKey("3", OTHER_KEY));
});

Deno.test("a set of new keys with one wrong key changes nothing", () => {
  const access = new Access({ keys: keysOf("1") });
  assertThrows(() => access.setKeys([["2", KEY], ["1", "short"]]), LocalError);
  assertEquals(access.keyFor({ id: "1", suite: 2 }), parseKey("1", KEY));
  assertEquals(refusal(() => access.keyFor({ id: "2", suite: 2 })), 4);
});

// Proofs.

/** Whether a proof passes. */
function proves(proof: string): boolean {
  try {
    new Access({ keys: keysOf("1") }).checkProof(proof, "\x03right");
    return true;
  } catch (error) {
    assert(error instanceof Refused && error.refusal === 2, `${error}`);
    assertEquals(error.code, "BAD_PROOF");
    assert(!error.message.includes("right"), "the error does not tell the right proof");
    return false;
  }
}

Deno.test("only the exact proof passes: not a part of it, more, another case, or nothing", () => {
  for (
    const wrong of ["\x03righ", "\x03right ", "\x03RIGHT", "right", "", "\x03", "\x03wrong", "é"]
  ) {
    assertEquals(proves(wrong), false, wrong);
  }
  assertEquals(proves("\x03right"), true);
});

Deno.test("connections are limited per address: releasing one makes room, and one address does not use up another's", () => {
  const access = new Access({ keys: keysOf("1") });
  const hold = (hostname = "10.0.0.1") => access.hold(hostname);
  assertEquals([hold(), hold(), hold(), hold(), hold(), hold()], [
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
  assertEquals(hold("10.0.0.2"), true);
  access.release("10.0.0.1");
  assertEquals([hold(), hold()], [true, false]);
  for (let n = 0; n < 4; n++) access.release("10.0.0.1");
  const network = (n: number) => `2001:db8:0:1::${n}`;
  assertEquals([1, 2, 3, 4, 5].map((n) => hold(network(n))), [true, true, true, true, false]);
  assertEquals(hold("2001:db8:0:2::1"), true);
  access.release(network(4));
  assertEquals(hold(network(6)), true);
  assertEquals([hold(), hold(), hold(), hold(), hold()], [true, true, true, true, false]);
});

Deno.test("proofs and keys are compared in constant time, never with an operator", () => {
  const source = Deno.readTextFileSync(new URL("./access.ts", import.meta.url));
  const body = source.slice(source.indexOf("checkProof("), source.indexOf("class Refused"));
  assert(body.includes("timingSafeEqual(a, b)"), body);
  for (const name of ["proof", "expected", "a", "b"]) {
    const operator = new RegExp(`\\b${name} *[!=]==?|[!=]==? *${name}\\b(?!\\.)`);
    assert(!operator.test(body), `${name} in ${body}`);
  }
});
