import {
  assert,
  assertEquals,
  assertExists,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  fail,
} from "@std/assert";

// These assertions cannot be trusted to judge themselves, so the verdicts below are plain ifs.

/** Complains unless `fn` throws an AssertionError. */
function refuses(fn: () => unknown): void {
  try {
    fn();
  } catch (error) {
    if (error instanceof AssertionError && error.name === "AssertionError") return;
    throw error;
  }
  throw new Error(`passed, but should have failed: ${fn}`);
}

Deno.test("assertions pass on what they assert", () => {
  assert(1);
  assertEquals({ a: [1, new Uint8Array([2])], b: NaN }, { b: NaN, a: [1, new Uint8Array([2])] });
  assertNotEquals<unknown>({ a: undefined }, {});
  assertStrictEquals(NaN, NaN);
  assertExists(0);
  assertStringIncludes("abc", "b");
  assertMatch("abc", /^a/);
  assertInstanceOf(new TypeError(), Error);
  assertGreater(2, 1);
  assertGreaterOrEqual(1, 1);
  assertLess(1n, 2n);
  assertLessOrEqual("a", "a");
});

Deno.test("assertions fail on anything else", () => {
  refuses(() => assert(""));
  refuses(() => fail());
  refuses(() => assertEquals([1], [2]));
  refuses(() => assertEquals<unknown>("1", 1));
  refuses(() => assertNotEquals([1], [1]));
  refuses(() => assertStrictEquals({}, {}));
  refuses(() => assertStrictEquals(0, -0));
  refuses(() => assertExists(null));
  refuses(() => assertExists(undefined));
  refuses(() => assertStringIncludes("abc", "d"));
  refuses(() => assertMatch("abc", /^b/));
  refuses(() => assertInstanceOf({}, Error));
  refuses(() => assertGreater(1, 1));
  refuses(() => assertGreaterOrEqual(0, 1));
  refuses(() => assertGreaterOrEqual(NaN, 1));
  refuses(() => assertLess(1, 1));
  refuses(() => assertLessOrEqual(2, 1));
});

Deno.test("a failure carries the caller's message", () => {
  for (
    const failing of [
      () => assert(false, "the link"),
      () => assertEquals(1, 2, "the link"),
      () => assertThrows(() => {}, "the link"),
      () => assertThrows(() => {}, TypeError, "x", "the link"),
      () => fail("the link"),
    ]
  ) {
    const error = assertThrows(failing, AssertionError);
    if (!error.message.includes("the link")) throw error;
  }
});

Deno.test("assertThrows returns the error, and looks at class and message", () => {
  const boom = new TypeError("bad link");
  const throwing = () => {
    throw boom;
  };
  if (assertThrows(throwing) !== boom) fail();
  if (assertThrows(throwing, TypeError, "link") !== boom) fail();
  refuses(() => assertThrows(() => {}));
  refuses(() => assertThrows(throwing, RangeError));
  refuses(() => assertThrows(throwing, TypeError, "wire"));
  refuses(() =>
    assertThrows(() => {
      throw "text"; // deno-lint-ignore no-throw-literal
    }, Error)
  );
});

Deno.test("assertRejects resolves to the reason, and tells a throw from a rejection", async () => {
  const boom = new TypeError("bad link");
  const rejecting = () => Promise.reject(boom);
  if (await assertRejects(rejecting) !== boom) fail();
  if (await assertRejects(rejecting, TypeError, "link") !== boom) fail();
  const throwing = () => {
    throw boom;
  };
  for (
    const wrong of [
      assertRejects(() => Promise.resolve()),
      assertRejects(throwing),
      assertRejects(rejecting, RangeError),
      assertRejects(rejecting, TypeError, "wire"),
    ]
  ) {
    await wrong.then(() => fail("passed, but should have failed"), (error) => {
      if (!(error instanceof AssertionError)) throw error;
    });
  }
});
