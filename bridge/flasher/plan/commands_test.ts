import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { aboutApplication } from "./applications.ts";
import { DENO, keysLine, serverLine } from "./commands.ts";

const ROOT = new URL("../../../", import.meta.url);

Deno.test("the line for the server is safe in a shell, whatever the id is", () => {
  const START = `${DENO} run -A server/main.ts keys add`;
  assertEquals(keysLine("kitchen"), `${START} kitchen --key -`);
  assertEquals(keysLine("küche 1"), `${START} "küche 1" --key -`);
  assertEquals(keysLine("it's; rm -rf $HOME"), `${START} 'it'\\''s; rm -rf $HOME' --key -`);
  assertEquals(keysLine("-x"), `${START} --key - -- -x`);
  assertEquals(keysLine("-x", "replace"), `${START} --key - --replace -- -x`);
  assertEquals(keysLine("a b", "remove"), `${DENO} run -A server/main.ts keys remove "a b"`);
});

Deno.test("the command that starts the server names only what is not the default", () => {
  const START = `${DENO} run -A server/main.ts`;
  assertEquals(serverLine({ open: true, keys: false }), `${START} --open`);
  assertEquals(
    serverLine({ open: true, keys: true, app: "main", port: 9000 }),
    `${START} --keys keys.json --open --app main --port 9000`,
  );
  assertEquals(
    serverLine({ open: false, keys: true, app: "qos", port: 8123 }),
    `${START} --keys keys.json --app qos`,
  );
});

Deno.test("the version of Deno is the one in the README, and the one that runs the tests", async () => {
  assertStringIncludes(await Deno.readTextFile(new URL("README.md", ROOT)), `${DENO} task demo`);
  assertEquals(DENO.split("@")[1], Deno.version.deno);
});

Deno.test("every application that comes with the firmware has a description, and its half at the server", async () => {
  for (const folder of ["client-as/examples/", "bridge/mqtt/examples/"]) {
    for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
      if (!isFile || !name.endsWith(".ts")) continue;
      const about = aboutApplication(name.replace(".ts", ""));
      assert(about && about.does.endsWith("."), name);
      assertEquals(about.app === undefined, folder.startsWith("bridge/mqtt"), name);
      if (about.app === undefined) continue; // these need a broker
      assert((await Deno.stat(new URL(`server/apps/${about.app}.ts`, ROOT))).isFile, name);
      const source = await Deno.readTextFile(new URL(folder + name, ROOT));
      const said = source.match(/`--app (\w+)`/)?.[1];
      if (said !== undefined) assertEquals(about.app, said);
    }
  }
  assertEquals(aboutApplication("toString"), undefined);
});
