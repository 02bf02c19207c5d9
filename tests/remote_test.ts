/**
 * The package as imported from a registry: its published files come from an HTTP server, into an empty HOME, without
 * access to this clone.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { folder } from "./support/main_process.ts";

const ROOT = new URL("../", import.meta.url);
const CONFIG = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));

/** Longest time that a program of the test takes, in ms. */
const LIMIT_MS = 300_000;

/** Both ends, a bridge, and a simulated world: each export of the package. */
const PROGRAM = `
import { Server } from "${CONFIG.name}";
import { Client } from "${CONFIG.name}/client";
import { MqttBridge } from "${CONFIG.name}/mqtt";
import { simulate } from "${CONFIG.name}/testing";

await using server = await Server.listen({ port: 0, open: true });
await using client = new Client({ id: "a", port: server.port });
await client.write("over a socket");
console.log(await (await server.device("a")).readline());
await simulate({ seed: 1 }, async (world) => {
  const server = world.machine("server", ({ platform }) => Server.listen({ open: true }, platform));
  const device = world.machine("a", ({ platform }) =>
    new Client({ id: "a", host: "server" }, platform));
  await server.start();
  await (await device.start()).write("in a world");
  console.log(await (await server.running.device("a")).readline());
});
console.log(typeof MqttBridge);
`;

/** The environment without variables that lead to this clone or to earlier downloads. */
const { INIT_CWD: _, DENO_DIR: __, ...ENVIRONMENT } = Deno.env.toObject();

/** Runs deno with an empty HOME, and returns its output. */
async function deno(cwd: string | URL, home: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    clearEnv: true,
    env: { ...ENVIRONMENT, HOME: home, NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  const [said, wrong] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, said: said!, wrong: wrong! };
}

/** The files that JSR would get, by their paths in the package. */
async function published(home: string): Promise<Set<string>> {
  const args = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
  const { code, said, wrong } = await deno(ROOT, home, ...args);
  assertEquals(code, 0, wrong);
  const paths = [...(said + wrong).matchAll(/^\s*(file:\S+) \(/gm)].map(([, url]) => url!);
  return new Set(paths.map((url) => url.slice(ROOT.href.length)));
}

Deno.test("client, server, bridge and simulated worlds work where only published files are, over HTTP", async () => {
  using place = folder();
  const [home, project] = [`${place.path}/home`, `${place.path}/project`];
  for (const path of [home, project]) await Deno.mkdir(path);
  const files = await published(home);
  assert(files.has("server/mod.ts"), [...files].join());
  const asked = new Set<string>();
  await using http = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const path = new URL(request.url).pathname.slice(1);
      asked.add(path);
      if (!files.has(path)) return new Response(null, { status: 404 });
      const type = path.endsWith(".json") ? "application/json" : "application/typescript";
      const body = await Deno.readFile(new URL(path, ROOT));
      return new Response(body, { headers: { "content-type": type } });
    },
  );
  const base = `http://127.0.0.1:${http.addr.port}`;
  // JSR resolves the versions of a package's imports; here the project's import map does.
  const imports: Record<string, string> = { ...CONFIG.imports };
  for (const name of Object.keys(imports)) {
    if (imports[name]!.startsWith("./")) delete imports[name];
  }
  for (const [name, path] of Object.entries<string>(CONFIG.exports)) {
    imports[CONFIG.name + name.slice(1)] = base + path.slice(1);
  }
  await Deno.writeTextFile(`${project}/deno.json`, JSON.stringify({ imports }));
  await Deno.writeTextFile(`${project}/main.ts`, PROGRAM);
  // No permission to read files, or to reach anything but a server on this machine.
  const { code, said, wrong } = await deno(
    project,
    home,
    "run",
    "--no-prompt",
    "--allow-import",
    "--allow-env", // a dependency reads it
    "--allow-net=127.0.0.1,0.0.0.0",
    "main.ts",
  );
  assertEquals([code, said], [0, "over a socket\nin a world\nfunction\n"], wrong);
  assert(asked.has("client-as/core_wasm.ts"));
  assertMatch([...asked].join(" "), /bridge\/host\/mod\.ts/);
});
