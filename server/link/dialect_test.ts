import { assertEquals } from "@std/assert";
import { quote } from "./dialect.ts";

Deno.test("a line is quoted in short, and no part of a greeting is", () => {
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
