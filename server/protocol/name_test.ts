import { assertEquals, assertStringIncludes } from "@std/assert";
import { wrongName, wrongOnWire } from "./name.ts";

Deno.test("names that can be given to devices: up to 64 bytes of UTF-8", () => {
  for (
    const name of [
      "1",
      " ",
      "Küche 🐙",
      "00",
      "__proto__",
      "\ufeff",
      "x".repeat(64),
      "é".repeat(32),
    ]
  ) {
    assertEquals([wrongName(name), wrongOnWire(name)], [undefined, undefined]);
  }
});

Deno.test("names that can no longer be given, but that devices may already have", () => {
  for (
    const [name, reason] of [
      ["x".repeat(65), "may have at most 64 bytes, not 65"],
      ["é".repeat(33), "may have at most 64 bytes, not 66"],
      ["\x80", "must not have control characters"],
      ["a\x9f", "must not have control characters"],
    ] as const
  ) {
    assertStringIncludes(wrongName(name)!, reason);
    assertEquals(wrongOnWire(name), undefined);
  }
});

Deno.test("malformed names are refused", () => {
  for (const name of ["", "\0", "a\nb", "a\tb", "\x1f", "\x7f"]) {
    assertEquals(wrongName(name), wrongOnWire(name));
    assertEquals(typeof wrongName(name), "string");
  }
  assertStringIncludes(wrongName("\ud83d")!, "well-formed");
});
