/** Completions, each tested in its shell. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fails, folder, Process } from "../../tests/support/main_process.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { COMMANDS } from "./commands.ts";

const NAMES = ["serve", ...COMMANDS.map(({ name }) => name)];

async function script(shell: string): Promise<string> {
  await using process = new Process(["completions", shell]);
  assertEquals((await process.ended).code, 0, process.stderr);
  return process.stdout;
}

/** The output of a program. */
async function output(program: string, args: string[], cwd: string): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(program, { args, cwd, env: { HOME: cwd } })
    .output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim();
}

toolTest(
  "bash completes commands, options, words and files",
  { bash: "bash" },
  async ({ bash }) => {
    using place = folder();
    const file = `${place.path}/holdfast.bash`;
    Deno.writeTextFileSync(file, await script("bash"));
    Deno.writeTextFileSync(`${place.path}/keys.json`, "");
    const complete = async (...words: string[]) => {
      const line = ["holdfast", ...words];
      const ask =
        `source ${file}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; echo "\${COMPREPLY[*]}"`;
      return (await output(bash, ["-c", ask, "bash", ...line], place.path)).split(" ").filter((
        word,
      ) => word !== "");
    };
    assertEquals(await complete(""), NAMES);
    assertEquals(
      await complete("de"),
      ["devices", "deploy", "dead-letters"].filter((name) => name.startsWith("de")),
    );
    assertEquals(await complete("keys", ""), ["add", "remove", "list"]);
    assertEquals(await complete("keys", "add", "--re"), ["--replace"]);
    assertEquals(await complete("keys", "add", "1", "--keys", "ke"), ["keys.json"]);
    assertEquals(await complete("serve", "--durability", ""), ["full", "normal"]);
    assert((await complete("send", "1", "--")).includes("--expires"));
    assertEquals(await complete("nothing", ""), []);
  },
);

toolTest("zsh completes commands and options", { zsh: "zsh" }, async ({ zsh }) => {
  using place = folder();
  const text = await script("zsh");
  Deno.writeTextFileSync(`${place.path}/_holdfast`, text);
  // Zsh completes only in a terminal, so stubs print the arguments of the functions it would call.
  const ask = `
    compdef() {}
    _describe() { print -r -- "commands: \${(j: :)\${(@)commands%%:*}}" }
    _arguments() { print -rl -- "$@" }
    source ./_holdfast
    words=(holdfast ''); CURRENT=2; _holdfast
    words=(holdfast serve ''); CURRENT=3; _holdfast`;
  const said = await output(zsh, ["-f", "-c", ask], place.path);
  assertStringIncludes(said, `commands: ${NAMES.join(" ")}`);
  assertStringIncludes(said, "--durability[");
  assertStringIncludes(said, ":full|normal:(full normal)");
  assertStringIncludes(said, "*--app[");
});

toolTest("fish completes commands, options and words", { fish: "fish" }, async ({ fish }) => {
  using place = folder();
  Deno.writeTextFileSync(`${place.path}/holdfast.fish`, await script("fish"));
  const complete = async (line: string) => {
    const said = await output(fish, [
      "--no-config",
      "-c",
      `source holdfast.fish; complete -C "${line}"`,
    ], place.path);
    return said.split("\n").map((row) => row.split("\t")[0]);
  };
  assertEquals((await complete("holdfast ")).sort(), [...NAMES].sort());
  assertEquals((await complete("holdfast keys ")).sort(), ["add", "list", "remove"]);
  assertEquals(await complete("holdfast keys add --re"), ["--replace"]);
  assertEquals(await complete("holdfast serve --durability "), ["full", "normal"]);
});

Deno.test("an unsupported shell is refused, and the supported ones are listed", async () => {
  for (const args of [[], ["tcsh"], ["bash", "zsh"]]) {
    const [code, said] = await fails("completions", ...args);
    assertEquals([code, said.includes("completions takes bash, zsh or fish")], [2, true], said);
  }
});
