/** What `mip` installs is what the client consists of. */
import { assertEquals } from "@std/assert";

const HERE = new URL("./", import.meta.url);

function json(path: string) {
  return JSON.parse(Deno.readTextFileSync(new URL(path, HERE)));
}

Deno.test("package.json names all files of the package but those for CPython, and its version", () => {
  const files = [...Deno.readDirSync(new URL("holdfast/", HERE))].map(({ name }) => name)
    .filter((name) => name.endsWith(".py") && name !== "cpython.py")
    .map((name) => `holdfast/${name}`).sort();
  const { urls, version } = json("package.json");
  assertEquals(urls, files.map((file) => [file, file]));
  assertEquals(version, json("../../deno.json").version);
});
