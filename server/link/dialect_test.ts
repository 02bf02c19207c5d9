import { assertEquals } from "@std/assert";
import { quote } from "./dialect.ts";

Deno.test("a long line is quoted in part, and nothing of a greeting is quoted", () => {
  const forty = "x".repeat(40);
  for (
    const [line, quoted] of [
      ["00text", '"00text"'],
      ['"\n', '"\\"\\n"'],
      ["", '""'],
      ["\x01hello", "part of a greeting"],
      ["\x04refusal", "part of a greeting"],
      ["\x05", '"\\u0005"'],
      [forty, `"${forty}"`],
      [`${forty}y`, `"${forty}…"`],
    ] as const
  ) assertEquals(quote(line), quoted);
});
