import { assertEquals } from "@std/assert";

type Imports = { imports: Record<string, string> };

async function imports(file: string): Promise<Imports["imports"]> {
  const { imports } = JSON.parse(
    await Deno.readTextFile(new URL(file, import.meta.url)),
  ) as Imports;
  return imports;
}

Deno.test("jsr.json is deno.json's imports with the real @std", async () => {
  const expected = await imports("../../deno.json");
  for (const name of Object.keys(expected)) {
    if (name.startsWith("@std/")) expected[name] = `jsr:${name}@^1`;
  }
  assertEquals(await imports("jsr.json"), expected);
});
