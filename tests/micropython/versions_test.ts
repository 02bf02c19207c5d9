/**
 * The package under MicroPython from before and after its releases 1.21 and 1.22: 1.21 is the oldest that the package
 * supports. The other tests here use the newest.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { micropython, OLDER, PACKAGE } from "./interpreters.ts";
import { clientVectors, WRONG } from "./vectors.ts";

const MODULES = [...Deno.readDirSync(`${PACKAGE}/holdfast`)].map(({ name }) => name)
  .filter((name) => name.endsWith(".py") && name !== "cpython.py").sort();

for (const [older, version] of OLDER) {
  Deno.test(`MicroPython ${version} in WASM replays the vectors, connects to a simulated server, and compiles each module`, async () => {
    const ask = await micropython<(name: string, text: string) => string>(
      "import versions",
      "lambda name, text: getattr(versions, name)(text)",
      { older },
    );
    assertMatch(ask("version", ""), new RegExp(` ${version}[-.]g`));
    const said = clientVectors.map((
      { file, text },
    ) => [file, ask("verdict", text)]);
    assertEquals(said, clientVectors.map(({ file }) => [file, ""]));
    assertMatch(ask("verdict", WRONG), /bytes sent/);
    const ends = "; REFUSED 8, waits".repeat(3) + "; 10.0.0.3: REFUSED 7, waits; LOST 0, at once; ";
    assertMatch(ask("links", ""), new RegExp(`^0${ends}[1-9]\\d*$`));

    const faults = MODULES.map((name) => [
      name,
      ask("fault", Deno.readTextFileSync(`${PACKAGE}/holdfast/${name}`)),
    ]);
    // It has no native emitter, and raises the error that sealed.py expects.
    const expected = (name: string) => name === "cipher_native.py" ? "SyntaxError" : "";
    assertEquals(faults, MODULES.map((name) => [name, expected(name)]));
    assertEquals(ask("fault", "def f(:\n"), "SyntaxError");
  });
}
