/** A server as a service: the unit, the container, the sample configuration and the dashboard match the program. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { Scene } from "../../tests/support/scene.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { readConfig } from "../cli/config.ts";
import { parse } from "../cli/options.ts";
import { apiRouter } from "../web/api_routes.ts";

const read = (name: string) => Deno.readTextFileSync(new URL(name, import.meta.url));

/** The part of the dashboard that matters here. */
interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly { id: number; targets: readonly { expr: string }[] }[];
  readonly templating: { readonly list: readonly { definition?: string }[] };
}

const dashboard = (): Dashboard => JSON.parse(read("grafana.json"));

/** A copy of the unit that starts /bin/sh, because systemd checks that the program exists. */
function unit(path: string): string {
  const file = `${path}/holdfast.service`;
  Deno.writeTextFileSync(
    file,
    read("holdfast.service").replace(/^ExecStart=\S+/m, "ExecStart=/bin/sh"),
  );
  return file;
}

async function analyze(program: string, ...args: string[]): Promise<[number, string]> {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, env: { NO_COLOR: "1" } })
    .output();
  return [code, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)];
}

toolTest(
  "systemd accepts the unit, and rates its exposure as low",
  { "systemd-analyze": "systemd" },
  async (tools) => {
    using place = folder();
    const file = unit(place.path);
    assertEquals(await analyze(tools["systemd-analyze"], "verify", file), [0, ""]);
    // The threshold is in tenths; the unit's exposure is 1.3 by now.
    const [code, said] = await analyze(
      tools["systemd-analyze"],
      "security",
      "--offline=yes",
      "--threshold=20",
      file,
    );
    assertEquals(code, 0, said);
  },
);

Deno.test("the unit and the sample configuration name the same places", () => {
  const path = new URL("holdfast.jsonc", import.meta.url).pathname;
  const values = parse(readConfig(path));
  const text = read("holdfast.service");
  const folders = [["StateDirectory", "/var/lib"], ["RuntimeDirectory", "/run"]] as const;
  for (const [setting] of folders) assertStringIncludes(text, `\n${setting}=holdfast\n`);
  assertEquals([values.store, values.control], [
    "/var/lib/holdfast/holdfast.db",
    "/run/holdfast/control.sock",
  ]);
  assertStringIncludes(text, "serve --config /etc/holdfast/holdfast.jsonc\n");
});

Deno.test("the container has what the server imports, and starts it with options that exist", async () => {
  const text = read("Dockerfile");
  for (const [, sources] of text.matchAll(/^COPY (.+) \S+$/gm)) {
    for (const source of sources!.split(" ")) {
      Deno.statSync(new URL(`../../${source}`, import.meta.url));
    }
  }
  const [, version] = /^FROM denoland\/deno:debian-(\S+)$/m.exec(text)!;
  assertStringIncludes(
    Deno.readTextFileSync(new URL("../../.ci/run", import.meta.url)),
    `deno@${version} `,
  );
  const lists = [...text.matchAll(/^(?:ENTRYPOINT|CMD) (\[.+\])$/gm)].flatMap(([, list]) =>
    JSON.parse(list!)
  );
  assertEquals(lists.slice(0, 2), ["holdfast", "serve"]);
  parse(lists.slice(2));
  // Everything that the server loads is in the copied folders.
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL("../main.ts", import.meta.url).pathname],
  }).output();
  const root = new URL("../../", import.meta.url).href;
  const modules: { specifier: string }[] = JSON.parse(new TextDecoder().decode(stdout)).modules;
  const own = modules.map(({ specifier }) => specifier).filter((it) =>
    it.startsWith(root) && !it.includes("node_modules")
  );
  const outside = own.map((it) => it.slice(root.length)).filter((it) =>
    !/^(server|bridge\/mqtt)\//.test(it)
  );
  assertEquals(outside, []);
  assert(own.length > 50);
});

Deno.test("the dashboard queries only metrics that exist", async () => {
  await using scene = await Scene.start();
  const stop = new AbortController();
  const bridge = () => ({
    ...{ connectedSince: undefined, connects: 0, waiting: { rows: 0, bytes: 0 }, inFlight: 0 },
    ...{ published: 0, received: 0, givenUp: 0 },
  });
  const router = apiRouter(scene.server, stop.signal, { bridge });
  const request = new Request("http://localhost/metrics");
  const said = await (await router.answer(request, { may: "look", address: undefined })).text();
  stop.abort();
  const names = new Set(Array.from(said.matchAll(/^# TYPE (\w+) /gm), ([, name]) => name!));
  const { panels, templating, uid, title } = dashboard();
  assertEquals([uid, title], ["holdfast", "Holdfast"]);
  const exprs = [
    ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...templating.list.map(({ definition = "" }) => definition),
  ];
  const asked = exprs.flatMap((expr) =>
    Array.from(expr.matchAll(/holdfast_\w+/g), ([name]) => name)
  );
  assert(asked.length > 20);
  assertEquals(asked.filter((name) => !names.has(name)), []);
  for (const expr of exprs) {
    if (/_total\b/.test(expr)) {
      assert(/rate\(/.test(expr), `${expr}: a counter needs rate()`);
    }
  }
  assertEquals(new Set(panels.map(({ id }) => id)).size, panels.length);
});

toolTest(
  "promtool accepts the dashboard's queries",
  { promtool: "prometheus" },
  async ({ promtool }) => {
    using place = folder();
    const exprs = dashboard().panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const rules = exprs.map((expr, n) => ({
      record: `panel:${n}`,
      expr: expr.replaceAll("$__rate_interval", "1m"),
    }));
    const file = `${place.path}/rules.json`;
    Deno.writeTextFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const [code, said] = await analyze(promtool, "check", "rules", file);
    assertEquals(code, 0, said);
  },
);
