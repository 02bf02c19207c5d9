/**
 * The vectors of tests/vectors for the core of bridge/micropython.
 *
 * @module
 */
import { assert } from "@std/assert";

const FOLDER = new URL("../vectors/", import.meta.url).pathname;

/** The vectors with a client's view: name, path and text of each file. */
export const clientVectors: readonly {
  file: string;
  path: string;
  text: string;
}[] = [
  ...Deno.readDirSync(FOLDER),
].map(({ name }) => name).filter((name) => name.endsWith(".json")).sort()
  .map((file) => ({
    file,
    path: FOLDER + file,
    text: Deno.readTextFileSync(FOLDER + file),
  }))
  .filter(({ text }) => "client" in JSON.parse(text));
assert(clientVectors.length > 50);

/** A wrong vector: the server's message is not acknowledged. */
export const WRONG = JSON.stringify({
  client: {
    steps: [[0, "connect"], [1, "opened"], [1, "out", "1\n"], [
      5,
      "in",
      "\n00a\n",
    ], [
      5,
      "message",
      "a",
    ]],
  },
});
