/** The vectors of tests/vectors, replayed on the core of bridge/micropython. */
import { assertEquals, assertMatch } from "@std/assert";
import { interpreters, micropython, PACKAGE, program } from "./interpreters.ts";
import { clientVectors, WRONG } from "./vectors.ts";

for (const [name, path] of interpreters()) {
  Deno.test(`vectors on the core under ${name}`, async () => {
    const strange = await Deno.makeTempFile({ suffix: ".json" });
    try {
      await Deno.writeTextFile(strange, WRONG);
      const { stdout, stderr } = await new Deno.Command(path, {
        args: [
          program("replay.py"),
          PACKAGE,
          ...clientVectors.map(({ path }) => path),
          strange,
        ],
        env: { PYTHONDONTWRITEBYTECODE: "1" },
      }).output();
      const said = decode(stdout).trim().split("\n");
      assertEquals(
        said.slice(0, -1),
        clientVectors.map(({ file }) => `${file} ok`),
        decode(stderr),
      );
      assertMatch(said.at(-1)!, /bytes sent/);
    } finally {
      await Deno.remove(strange);
    }
  });
}

Deno.test("vectors on the core under MicroPython in WASM", async () => {
  const replay = await micropython<(text: string) => string>(
    "import replay",
    "replay.verdict",
  );
  const said = clientVectors.map(({ file, text }) => [file, replay(text)]);
  assertEquals(said, clientVectors.map(({ file }) => [file, ""]));
  assertMatch(replay(WRONG), /bytes sent/);
});

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
