/** Descriptions on the command line: `--descriptions`, and SIGHUP. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fails, folder, start } from "../tests/support/main_process.ts";
import { until } from "../tests/support/wait.ts";

const kitchen = '{"channels":{"temp":{"kind":"sensor","unit":"°C"}}}';

Deno.test("a folder of descriptions is read at the start and on SIGHUP; an invalid one changes nothing", async () => {
  using place = folder();
  const write = (name: string, text: string) =>
    Deno.writeTextFileSync(`${place.path}/${name}`, text);
  write("kitchen.json", kitchen);
  write("kitchen@3.json", `\ufeff${kitchen}`);
  write("README", "no description");
  await using process = start("--open", "--descriptions", place.path);
  await process.port();
  write("hall.json", '{"channels":{"temp":{"kind":"lamp"}}}');
  process.kill("SIGHUP");
  const wrong = await until(() =>
    process.log.find(({ message }) => message?.includes("descriptions stay"))
  );
  const path = `${place.path}/hall.json`;
  assertEquals([wrong.event, wrong.code], ["warning", "BAD_ARGUMENT"]);
  const why = '/channels/temp/kind: "lamp" is not a kind: use one of sensor';
  assertStringIncludes(wrong.message!, `the description ${JSON.stringify(path)}: ${why}`);
  write("hall.json", kitchen);
  process.kill("SIGHUP");
  assertEquals((await process.logs("descriptions")).message, `3 from ${place.path}`);
});

Deno.test("a server does not start if a description is invalid or the folder is missing", async () => {
  using place = folder();
  const path = `${place.path}/kitchen.json`;
  const named = `the description ${JSON.stringify(path)}: `;
  for (
    const [text, words] of [
      ["", "/: this is not JSON"],
      [new Uint8Array([0xff]), "this is not UTF-8"],
      [" ".repeat(200_000), "it may have at most 65536 characters"],
      [" ".repeat(70_000), "/: it may have at most 65536 characters"],
      ['{"channels":{"a":{}}}', "/channels/a: "],
    ] as const
  ) {
    if (typeof text === "string") Deno.writeTextFileSync(path, text);
    else Deno.writeFileSync(path, text);
    const [code, said] = await fails("--open", "--descriptions", place.path);
    assertEquals(code, 2);
    assertStringIncludes(said, named + words);
  }
  Deno.removeSync(path);
  Deno.mkdirSync(path);
  assertStringIncludes(
    (await fails("--open", "--descriptions", place.path))[1],
    `${named}this is not a file`,
  );
  Deno.removeSync(path);
  Deno.writeTextFileSync(`${place.path}/Kitchen.json`, kitchen);
  const [, said] = await fails("--open", "--descriptions", place.path);
  assertStringIncludes(said, '"Kitchen" is not an application');
  const [code, none] = await fails("--open", "--descriptions", `${place.path}/none`);
  assertEquals(code, 2);
  assertStringIncludes(none, `/none": it cannot be read`);
});
