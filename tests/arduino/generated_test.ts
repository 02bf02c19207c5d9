/** The library's copies are up to date. */
import { assertEquals } from "@std/assert";
import { generate } from "../../bridge/arduino/generate.ts";
import * as registers from "../../client-as/assembly/registers.ts";
import { toolTest } from "../support/tools.ts";

const LIBRARY = new URL("../../bridge/arduino/", import.meta.url);
const read = (name: string) => Deno.readTextFileSync(new URL(name, LIBRARY));

toolTest(
  "the core as C is byte for byte what wasm2c makes of today's core.wasm; so are all other generated files",
  { wasm2c: "wabt" },
  async () => {
    for (const [path, text] of Object.entries(await generate())) {
      assertEquals(
        read(path) === text,
        true,
        `${path} is out of date: run deno task build && deno run -A bridge/arduino/generate.ts`,
      );
    }
  },
);

Deno.test("the library names the reasons in the order of registers.ts", () => {
  const [, list] = read("src/Holdfast.cpp").match(/reasons\[\] = \{([^}]*)\}/) ?? [];
  const names = [...list!.matchAll(/"(\w*)"/g)].map(([, name]) => name!);
  assertEquals(names.length, registers.BAD_PROOF + 1);
  const numbers: Readonly<Record<string, number>> = { ...registers };
  for (const [number, name] of names.entries()) {
    if (number > 0) assertEquals(numbers[name], number, name); // 0: no reason yet
  }
});

Deno.test("all descriptions of the library name the same version, the project's", () => {
  const { version } = JSON.parse(read("../../deno.json"));
  const found = {
    "library.properties": read("library.properties").match(/^version=(.*)$/m)?.[1],
    "library.json": JSON.parse(read("library.json")).version,
    "idf_component.yml": read("idf_component.yml").match(/^version: "(.*)"$/m)?.[1],
  };
  for (const [file, says] of Object.entries(found)) assertEquals(says, version, file);
});
