import { assertEquals } from "@std/assert";
import { inOrder, matching } from "./group.ts";

Deno.test("patterns have * and ?, and every other character matches itself", () => {
  const ids = ["a", "ab", "a.b", "a*", "küche/1", "b"];
  assertEquals(matching("a*", ids), ["a*"], "an id that equals the pattern");
  assertEquals(matching("a?", ids), ["ab", "a*"]);
  assertEquals(matching("a.*", ids), ["a.b"]);
  assertEquals(matching("k?che/*", ids), ["küche/1"]);
  assertEquals(matching("*", ids), ids);
  assertEquals(matching("(", ids), []);
});

Deno.test("a group is sorted by id, with numbers by their value", () => {
  assertEquals(inOrder(["hall/10", "roof", "hall/2"]), ["hall/2", "hall/10", "roof"]);
});

Deno.test("the order of a group does not depend on who connected first", () => {
  assertEquals(inOrder(["a", "A"]), inOrder(["A", "a"]));
  assertEquals(inOrder(["1", "01"]), inOrder(["01", "1"]));
});
