/**
 * The container file, tested without a container: it installs everything needed, from Debian, and its steps, applied
 * here to a copy of the tree, give the same release as the tree itself.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { buildFirmware, filesBelow, RELEASE_TOOLS } from "../support/release.ts";
import { toolTest } from "../support/tools.ts";
import { chipTools } from "./support.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const FILE = `${ROOT}bridge/esp8266/Containerfile`;

/** The instructions with their arguments. */
function instructions(): [name: string, value: string][] {
  const text = Deno.readTextFileSync(FILE).replace(/^#.*\n/gm, "").replace(/\\\n\s*/g, "");
  return Array.from(text.matchAll(/^([A-Z]+) (.*)$/gm), ([, name, value]) => [name!, value!]);
}

function all(name: string): string[] {
  return instructions().filter(([it]) => it === name).map(([, value]) => value);
}

/** The packages that it installs. */
function packages(): string[] {
  const [, list] = all("RUN")[0]!.match(/install -y --no-install-recommends ([^&]*) &&/)!;
  return list!.trim().split(/\s+/);
}

Deno.test("the container file installs the tools for a release, and the gate's Deno", () => {
  const wanted = Object.values({ ...chipTools, ...RELEASE_TOOLS })
    .filter((name) => name !== "qemu-system-misc" && name !== "tar");
  for (const name of wanted) assert(packages().includes(name), name);
  const [, version] = all("RUN")[1]!.match(/ deno@([\d.]+)$/)!;
  assertStringIncludes(Deno.readTextFileSync(`${ROOT}.ci/run`), `deno@${version}\n`);
  // It contains nothing of the vendor's; whoever runs it provides the SDK.
  assertEquals(all("CMD"), ['["--board", "nonos", "--sdk", "/sdk", "--release", "/release"]']);
  assertEquals(all("COPY"), [". ."]);
});

toolTest("the container file's packages are Debian's", { "apt-cache": "apt" }, async () => {
  const { stdout } = await new Deno.Command("apt-cache", { args: ["pkgnames"] }).output();
  const known = new Set(new TextDecoder().decode(stdout).split("\n"));
  for (const name of packages()) assert(known.has(name), `${name} is no package of Debian's`);
});

toolTest(
  "the container file's steps work in a copy of the tree, and give the same release as the tree",
  { ...chipTools, ...RELEASE_TOOLS },
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-container-" });
    try {
      const lines = Deno.readTextFileSync(`${FILE}.dockerignore`).split("\n");
      const ignored = lines.filter((line) => line !== "" && !line.startsWith("#")).map(pattern);
      await copy(ROOT, `${folder}/copy`, (path) => !ignored.some((it) => it.test(path)));
      const [step] = all("RUN").slice(2);
      const { success, stderr } = await new Deno.Command("sh", {
        args: ["-c", step!.replaceAll("/tmp/tried", `${folder}/tried`).replace(/&& rm .*$/, "")],
        cwd: `${folder}/copy`,
        env: { NO_COLOR: "1" },
      }).output();
      assert(success, new TextDecoder().decode(stderr));
      const here = await buildFirmware(["--release", `${folder}/here`]);
      assertEquals([here.code, here.err], [0, ""]);
      // The bundler names the page's chunks by the paths of their modules, which differ if packages are linked from
      // another place.
      const linked = Deno.lstatSync(`${ROOT}node_modules`).isSymlink;
      const compared = (place: string) =>
        [...filesBelow(`${folder}/${place}`)].filter(([path]) =>
          !linked || path.startsWith("firmware/")
        );
      assertEquals(compared("tried"), compared("here"));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

/** The pattern of a line in the list of ignored files. */
function pattern(line: string): RegExp {
  const anywhere = line.startsWith("**/");
  const path = (anywhere ? line.slice(3) : line).replaceAll(".", "\\.").replaceAll("*", "[^/]*");
  return new RegExp(`^${anywhere ? "(.*/)?" : ""}${path}$`);
}

async function copy(
  from: string,
  to: string,
  wanted: (path: string) => boolean,
  below = "",
): Promise<void> {
  await Deno.mkdir(`${to}/${below}`, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(`${from}/${below}`)) {
    const path = below + name;
    if (!wanted(path)) continue;
    if (isDirectory) await copy(from, to, wanted, `${path}/`);
    else await Deno.copyFile(`${from}/${path}`, `${to}/${path}`);
  }
}
