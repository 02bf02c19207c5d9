/** JSON with comments: valid texts and errors. */
import { assertEquals, assertThrows } from "@std/assert";
import { parseJsonc } from "./jsonc.ts";

Deno.test("comments and trailing commas are ignored, but not inside strings", () => {
  for (
    const [text, value] of [
      ['{"a": 1, // one\n "b": [1, 2,], /* two\n */}', { a: 1, b: [1, 2] }],
      ['{"a": "// no /* comment */ ,}", "b": "\\"//", }', {
        a: "// no /* comment */ ,}",
        b: '"//',
      }],
      ["// first\n[1, /* a */ // b\n ]", [1]],
      ['"a, ]"', "a, ]"],
      [" 1 ", 1],
      ["/**/null/***/", null],
    ] as const
  ) assertEquals(parseJsonc(text), value as unknown);
});

Deno.test("errors are reported with their line", () => {
  const wrong = [
    "",
    "{",
    "[,]",
    "{,}",
    "[1,,]",
    "{a: 1}",
    "/* x",
    '{"a": 1} /* x',
    "# x",
    "[1] 2",
    "'a'",
    '"a\nb"',
  ];
  for (const text of wrong) assertThrows(() => parseJsonc(text), SyntaxError);
  assertThrows(() => parseJsonc('{\n"a": 1\n/* x'), SyntaxError, "line 3: a comment does not end");
  assertThrows(() => parseJsonc('{\n"a": 1\n"b": 2}'), SyntaxError, "line 3");
});
