import { assert, assertNotEquals, assertRejects } from "@std/assert";
import { folder } from "./main_process.ts";
import { inOwnProcess } from "./own_process.ts";

const MODULE = new URL("own_process.ts", import.meta.url);

/** A file with these tests, each of which runs in a process of its own. @returns its URL */
function fileOf(path: string, bodies: Record<string, string>): string {
  const tests = Object.entries(bodies).map(([name, body]) =>
    `Deno.test("${name}", (t) => inOwnProcess(t, () => { ${body} }));`
  );
  const file = `${path}/some_test.ts`;
  Deno.writeTextFileSync(file, [`import { inOwnProcess } from "${MODULE}";`, ...tests].join("\n"));
  return `file://${file}`;
}

const never = () => assert(false, "it runs in another process");

Deno.test("a body runs in another process", async () => {
  using place = folder();
  const pid = `${place.path}/pid`;
  const tells = `Deno.writeTextFileSync("${pid}", \`\${Deno.pid}\`);`;
  await inOwnProcess({ name: "tells", origin: fileOf(place.path, { tells }) }, never);
  assertNotEquals(Deno.readTextFileSync(pid), `${Deno.pid}`);
});

Deno.test("a body that fails there, or does not run, fails the test, which shows why", async () => {
  using place = folder();
  const origin = fileOf(place.path, {
    fails: 'throw new Error("on purpose");',
    twice: "",
    "twice more": "",
  });
  for (
    const [name, why] of [
      ["fails", "Error: on purpose"],
      ["missing", "0 passed | 0 failed"],
      ["twice", "2 passed | 0 failed"],
    ] as const
  ) {
    await assertRejects(() => inOwnProcess({ name, origin }, never), Error, why);
  }
});
