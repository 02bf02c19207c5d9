import { assertEquals } from "@std/assert";
import { compareNames } from "./name_order.ts";

Deno.test("names are ordered as people expect, and always in the same way", () => {
  const ordered = ["01", "1", "2", "10", "a", "A", "b", "hall/2", "hall/10", "roof"];
  assertEquals([...ordered].reverse().sort(compareNames), ordered);
  assertEquals([...ordered].sort(compareNames), ordered);
  assertEquals(compareNames("a", "a"), 0);
});
