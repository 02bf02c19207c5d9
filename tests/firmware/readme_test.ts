/** The README's commands for sending a changed application to a board on the roof, unchanged except for ports and
 * folders. */
import { assertEquals, assertMatch } from "@std/assert";
import { folder, Process, start } from "../support/main_process.ts";
import { until } from "../support/wait.ts";
import { controlPath, isListening } from "../../server/cli/control.ts";
import { application, chipTest, isUp, plugIn } from "./support.ts";

const ROOT = new URL("../../", import.meta.url);
const RUN = "npx -y deno@2.9.6 ";

/** The commands under a heading of the README. */
async function commands(heading: string): Promise<string[]> {
  const readme = await Deno.readTextFile(new URL("bridge/README.md", ROOT));
  const section = readme.split(`\n### ${heading}\n`)[1]!.split("\n### ")[0]!;
  return section.split("\n").filter((line) => line.startsWith("    ")).map((line) => line.trim());
}

chipTest("a changed example reaches a board on the roof with the README's commands", async () => {
  const lines = await commands("A changed application, over the link");
  assertEquals(lines.length, 6);
  const [build, serve, run, change, compile, deploy] = lines as [string, ...string[]];
  assertEquals(build, `${RUN}task firmware`);
  assertEquals(serve, `${RUN}run -A server/main.ts --open --store roof.db`);
  assertEquals(run, `${RUN}run -A bridge/esp8266/run.ts thermostat --id roof`);
  const [, from, to, example] = /^sed -i 's\/([^/]+)\/([^/]+)\/' (\S+)$/.exec(change!)!;
  assertEquals(compile, `${RUN}task build ${example}`);
  const wasm = example!.replace(/\.ts$/, ".wasm");
  assertEquals(deploy, `${RUN}run -A server/main.ts deploy roof ${wasm} --store roof.db --watch`);

  using place = folder();
  const store = `${place.path}/roof.db`;
  await using server = start("--open", "--store", store, "--timeout", "10000");
  const port = await server.port();
  await until(() => isListening(controlPath(store)));
  const speed = 20; // 30 s on trial take 1.5 s
  const settings = { timeout: 10_000 * speed };
  await using board = await plugIn({
    port,
    id: "roof",
    settings,
    speed,
    application: application("thermostat"),
  });
  await until(() => isUp(board));

  const source = await Deno.readTextFile(new URL(example!, ROOT));
  assertEquals(source.split(from!).length, 2, "there is one place to change");
  const changed = `${place.path}/thermostat.ts`;
  const assembly = new URL("client-as/assembly", ROOT).pathname;
  const up = `${"../".repeat(20)}..${assembly}`;
  await Deno.writeTextFile(changed, source.replace(from!, to!).replaceAll("../assembly", up));
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "build", changed],
    cwd: ROOT,
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  await using deployed = new Process([
    ...["deploy", "roof", changed.replace(/\.ts$/, ".wasm"), "--store", store, "--watch"],
  ]);
  assertEquals((await deployed.ended).code, 0, deployed.stderr);
  assertMatch(deployed.stdout, /^roof kept thermostat\/\d+\/[\w-]{8}$/m);
  board.check();
  await using apps = new Process(["apps", "roof", "--store", store]);
  await apps.ended;
  assertMatch(apps.stdout, /^roof +up +thermostat\/\d+\/\S+ +thermostat\/\d+\/\S+ +kept/m);
});
