/** The vectors of tests/vectors, replayed on the core of bridge/micropython. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { interpreters, micropython, PACKAGE, program } from "./interpreters.ts";

const FOLDER = new URL("../vectors/", import.meta.url).pathname;

/** Those with a client's view. */
const vectors = [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
  .filter((name) =>
    name.endsWith(".json") && "client" in JSON.parse(Deno.readTextFileSync(FOLDER + name))
  )
  .sort();

/** A situation that never was: the server's message is not acknowledged. */
const wrong = JSON.stringify({
  client: {
    steps: [[0, "connect"], [1, "opened"], [1, "out", "1\n"], [5, "in", "\n00a\n"], [
      5,
      "message",
      "a",
    ]],
  },
});

for (const [name, path] of interpreters()) {
  Deno.test(`vectors on the core under ${name}`, async () => {
    const files = vectors.map((file) => FOLDER + file);
    const strange = await Deno.makeTempFile({ suffix: ".json" });
    try {
      await Deno.writeTextFile(strange, wrong);
      const { stdout, stderr } = await new Deno.Command(path, {
        args: [program("replay.py"), PACKAGE, ...files, strange],
        env: { PYTHONDONTWRITEBYTECODE: "1" },
      }).output();
      const said = new TextDecoder().decode(stdout).trim().split("\n");
      assertEquals(said.slice(0, -1), vectors.map((file) => `${file} ok`), decode(stderr));
      assertMatch(said.at(-1)!, /bytes sent/);
    } finally {
      await Deno.remove(strange);
    }
  });
}

Deno.test("vectors on the core under MicroPython in WASM", async () => {
  assert(vectors.length > 50);
  const replay = await micropython<(text: string) => string>("import replay", "replay.verdict");
  const said = vectors.map((file) => [file, replay(Deno.readTextFileSync(FOLDER + file))]);
  assertEquals(said, vectors.map((file) => [file, ""]));
  assertMatch(replay(wrong), /bytes sent/);
});

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
