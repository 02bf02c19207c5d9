/**
 * A user's own projects beside a clone, with an empty HOME: the README's example, and the project that `deno task new`
 * creates.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { folder } from "./support/main_process.ts";

const ROOT = new URL("../", import.meta.url).pathname.replace(/\/$/, "");
const NEW = `${ROOT}/bridge/template/new.ts`;

/** The environment without INIT_CWD, which `deno task` would keep. */
const { INIT_CWD: _, ...ENVIRONMENT } = Deno.env.toObject();

/** Runs deno to its end, and returns its output. */
async function deno(cwd: string, ...args: string[]) {
  const home = Deno.makeTempDirSync();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd,
      clearEnv: true,
      env: { ...ENVIRONMENT, HOME: home, NO_COLOR: "1" },
      stdin: "null",
      signal: AbortSignal.timeout(300_000),
    }).output();
    const [said, wrong] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { code, said: said!, wrong: wrong! };
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

/** The first part of a README in a language. */
function part(text: string, language: string): string {
  return text.match(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "m"))![1]!;
}

Deno.test("the README's example runs in a project beside the clone, as the README says", async () => {
  using place = folder();
  const readme = await Deno.readTextFile(`${ROOT}/README.md`);
  const [config, example] = [part(readme, "json"), part(readme, "ts")];
  await Deno.symlink(ROOT, `${place.path}/holdfast`);
  await Deno.mkdir(`${place.path}/mine`);
  await Deno.writeTextFile(`${place.path}/mine/deno.json`, config);
  await Deno.writeTextFile(`${place.path}/mine/main.ts`, example);
  const { code, said, wrong } = await deno(`${place.path}/mine`, "run", "-A", "main.ts");
  assertEquals([code, said], [0, "heater: 1\n"], wrong);
});

Deno.test("a new project's own test passes", async () => {
  using place = folder();
  const begun = await deno(place.path, "run", "-A", NEW, "mine");
  assertEquals(begun.code, 0, begun.wrong);
  const { code, said, wrong } = await deno(`${place.path}/mine`, "task", "test");
  assertEquals(code, 0, said + wrong);
  assertMatch(said, /^ok \| 5 passed \| 0 failed/m);
});

Deno.test("a folder that is not empty is refused by name, and left as it is", async () => {
  using place = folder();
  await Deno.writeTextFile(`${place.path}/notes`, "mine");
  const { code, wrong } = await deno(place.path, "run", "-A", NEW, ".");
  assertEquals(code, 1);
  assertMatch(wrong, new RegExp(`^new: ${place.path} is not empty \\(it has notes\\)`, "m"));
  assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name), ["notes"]);
});

Deno.test("a new project needs one folder", async () => {
  using place = folder();
  for (const args of [[], ["a", "b"], ["--verbose"]]) {
    assertEquals((await deno(place.path, "run", "-A", NEW, ...args)).code, 2);
  }
  assertEquals([...Deno.readDirSync(place.path)], []);
});
