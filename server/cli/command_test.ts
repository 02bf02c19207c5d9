import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import { type Command, command, firstWords, runCommand } from "./command.ts";
import type { Reach } from "./reach.ts";

const NOBODY: Reach = { ask: () => Promise.reject(new Error("no server may be asked")) };

/** The words that `run` gets, or the error about them. */
async function given(usage: string[], ...words: string[]): Promise<readonly string[] | string> {
  let taken: readonly string[] | undefined;
  const it: Command = command({
    name: "it",
    usage,
    summary: "Does it",
    options: {},
    run: (words) => Promise.resolve(void (taken = words)),
  });
  try {
    await runCommand(it, words, NOBODY);
    return taken!;
  } catch (error) {
    if (error instanceof LocalError && taken === undefined) return error.message;
    throw error;
  }
}

const HELP = "(see it --help)";

Deno.test("arguments are checked against a command's usage", async () => {
  const quotes = ": put arguments with spaces in quotes";
  for (
    const [usage, words, wrong] of [
      [[""], [], ""],
      [[""], ["a"], `it takes no arguments ${HELP}`],
      [["ID"], ["a"], ""],
      [["ID"], [], `it takes ID ${HELP}`],
      [["ID"], [""], `it takes ID ${HELP}`],
      [["ID"], ["a", "b"], `it takes ID${quotes} ${HELP}`],
      [["[ID]"], [], ""],
      [["[ID]"], ["a"], ""],
      [["[ID]"], [""], `it takes [ID] ${HELP}`],
      [["[ID]"], ["a", "b"], `it takes [ID]${quotes} ${HELP}`],
      [["[ID]…"], [], ""],
      [["[ID]…"], ["a", "b", "c"], ""],
      [["[ID]…"], ["a", "b", ""], `it takes [ID]… ${HELP}`],
      [["ID VALUE"], ["a", ""], ""],
      [["ID VALUE"], ["a"], `it takes ID VALUE ${HELP}`],
      [["ID [VALUE]"], ["a"], ""],
      [["ID [VALUE]"], ["", "a"], `it takes ID [VALUE] ${HELP}`],
      [["add ID", "list"], ["add", "a"], ""],
      [["add ID", "list"], ["list"], ""],
      [["add ID", "list"], ["add"], `it takes add ID or list ${HELP}`],
      [["add ID", "list"], ["list", "a"], `it takes add ID or list ${HELP}`],
      [["add ID", "list"], ["a", "b"], `it takes add ID or list ${HELP}`],
      [["a", "b X", "c"], ["d"], `it takes a, b X or c ${HELP}`],
    ] as [string[], string[], string][]
  ) assertEquals(await given(usage, ...words), wrong || words, `${usage}: ${words}`);
});

Deno.test("the first words for shell completion come from the usage", () => {
  assertEquals(firstWords(["add ID", "remove ID", "list"]), ["add", "remove", "list"]);
  assertEquals(firstWords(["[ID]…"]), []);
  assertEquals(firstWords([""]), []);
});

Deno.test("an unknown option is not taken for an argument", async () => {
  const error = await assertRejects(() => given(["ID"], "a", "--of"), TypeError);
  assertStringIncludes(error.message, "--of");
});
