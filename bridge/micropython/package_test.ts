/** The package that `mip` installs: its files, its version and its constants. */
import { assert, assertEquals } from "@std/assert";

/** The files for boards. */
const FILES = [...Deno.readDirSync(new URL("holdfast/", import.meta.url))].map((
  { name },
) => name)
  .filter((name) => name.endsWith(".py") && name !== "cpython.py")
  .map((name) => `holdfast/${name}`).sort();

const HERE = new URL("./", import.meta.url);

function json(path: string) {
  return JSON.parse(Deno.readTextFileSync(new URL(path, HERE)));
}

Deno.test("package.json lists all files of the package but those for CPython, and its version", () => {
  const { urls, version } = json("package.json");
  assertEquals(urls, FILES.map((file) => [file, file]));
  assertEquals(version, json("../../deno.json").version);
});

Deno.test("a constant has the same number in all files of the package, as const() works only within a file", () => {
  const meanings = new Map<string, Set<string>>();
  for (const file of FILES) {
    const text = Deno.readTextFileSync(new URL(file, HERE));
    for (
      const [, name, value] of text.matchAll(
        /^(_[A-Z0-9_]+) = (?:const\()?(-?[0-9][0-9A-Fx]*)\)?(?: {2}#.*)?$/gm,
      )
    ) {
      meanings.set(name!, (meanings.get(name!) ?? new Set()).add(value!));
    }
  }
  assert(meanings.size > 20);
  assertEquals([...meanings].filter(([, values]) => values.size > 1), []);
});
