import { assertEquals, assertThrows } from "@std/assert";
import { describeChange, Explanations, isOf } from "./explanations.ts";

const TEXT = `
# For people.
server/a.ts

It costs, and
nothing else:
  a < b -> a <= b

There is one only.
  { f(); } -> {}
  true -> false

client-as/b.ts

It costs.
  a < b -> true
`;

Deno.test("a surviving change is explained in its file, wherever it is there", () => {
  const explanations = new Explanations(TEXT);
  const why = (file: string, before: string, after: string) =>
    explanations.of({ file, before, after });
  assertEquals(why("server/a.ts", "a < b", "a <= b"), "It costs, and nothing else:");
  assertEquals(why("server/a.ts", "{\n  f();\n}", "{}"), "There is one only.");
  assertEquals(why("server/a.ts", "a < b", "true"), undefined);
  assertEquals(why("client-as/b.ts", "a < b", "true"), "It costs.");
});

Deno.test("of a long change the beginning is shown", () => {
  const before = `f(${"a, ".repeat(100)})`;
  assertEquals(describeChange({ before, after: "g()" }), `${before.slice(0, 70)}… -> g()`);
});

Deno.test("an explanation of nothing, or a second one, is refused", () => {
  const refused = (text: string) => assertThrows(() => new Explanations(text), Error).message;
  assertEquals(refused("  a -> b"), "no file or reason: a -> b");
  assertEquals(refused("server/a.ts\n  a -> b"), "no file or reason: a -> b");
  assertEquals(refused("server/a.ts\nSo.\n  a"), "server/a.ts: a is not a change");
  assertEquals(
    refused("server/a.ts\nSo.\n  a -> b\nSo.\n  a -> b"),
    "server/a.ts: a -> b is explained twice",
  );
});

Deno.test("each explanation is about code that exists", async () => {
  const gone: string[] = [];
  for (const explanation of await Explanations.read()) {
    const path = new URL(`../../${explanation.file}`, import.meta.url);
    const source = await Deno.readTextFile(path).catch(() => "");
    if (!isOf(source, explanation)) gone.push(`${explanation.file}: ${explanation.change}`);
  }
  assertEquals(gone, []);
});
