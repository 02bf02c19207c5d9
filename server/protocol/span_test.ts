import { assertEquals } from "@std/assert";
import { parseSpan } from "./span.ts";

Deno.test("times are a number and a unit, and nothing else", () => {
  const times = [["1s", 1000], ["90s", 90_000], ["30m", 1_800_000], ["36h", 129_600_000], [
    "7d",
    604_800_000,
  ]] as const;
  for (const [text, ms] of times) assertEquals(parseSpan(text), ms);
  for (
    const text of ["", "7", "d", "0d", "-1d", "1.5h", "7 d", "7w", "7D", "1234567s", "7d\n", "007d"]
  ) {
    assertEquals(parseSpan(text), undefined, text);
  }
});
