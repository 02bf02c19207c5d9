import { assertEquals, assertMatch } from "@std/assert";
import { locate, tool, toolTest } from "./tools.ts";

Deno.test("a program on the path is found, and a missing one is reported by its packages", () => {
  const { paths, missing } = locate({ sh: "dash", "no-such-tool": "absent", "/no/file": "absent" });
  assertMatch(paths["sh"] ?? "", /^\/.*\/sh$/);
  assertEquals(missing, ["absent"]);
});

Deno.test("a file is found by its full path", () => {
  assertEquals(tool("/bin/sh", "dash"), "/bin/sh");
});

toolTest("a test gets the paths of its tools", { sh: "dash" }, ({ sh }) => {
  assertEquals(tool("sh", "dash"), sh);
});
