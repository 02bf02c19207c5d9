/**
 * `deno task npm`: packs server, client and MQTT bridge for Node 20 or later, as `npm install` takes it.
 *
 * `deno pack` writes each module and its types, and takes name, version and exports from `deno.json`. This file does
 * the rest: it lowers newer syntax for Node 20, and redirects calls of Deno to `node.ts`.
 *
 * @module
 */
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { transformSync } from "esbuild";
import { folderTask } from "../folder_task.ts";
import * as node from "./node.ts";

const HELP = `deno task npm [DIR]

Makes the npm package as a file in DIR (created if necessary; the current folder unless given),
and prints its path. Install it in a program of your own with \`npm install FILE\`.

  --help   this text

Exit codes: 0 packed, 1 it could not be packed (the message says why), 2 wrong options.`;

const ROOT = new URL("../../", import.meta.url).pathname;
const TARGET = "node20";

/** Globals that Node 20 does not have, and their replacements in `node.ts`. */
const NEWER = {
  addEventListener: "addEventListener",
  "Promise.withResolvers": "withResolvers",
  "Map.groupBy": "groupBy",
  "RegExp.escape": "escapeRegExp",
  "Uint8Array.fromHex": "fromHex",
  "Uint8Array.fromBase64": "fromBase64",
} as const;

/** Methods of iterators, which Node 20 does not have either: an array has them. */
const OF_ITERATORS =
  /\.(?:values|keys|entries)\(\)\s*\.(?:map|filter|flatMap|some|every|find|reduce|forEach|take|drop|toArray)\b/;

/** Prefix in a module's text, so that no name of its own is hit. */
const PREFIX = "$node_";

/**
 * One module for Node.
 *
 * @param from How it imports `node.js`: `../npm/node.js`
 * @throws {Error} it calls something that is not there under Node 20
 */
export function forNode(code: string, from: string): string {
  const define: Record<string, string> = { Deno: `${PREFIX}Deno` };
  for (const [name, ours] of Object.entries(NEWER)) define[name] = PREFIX + ours;
  const { code: text } = transformSync(code, { format: "esm", target: TARGET, define });
  const [call] = text.match(OF_ITERATORS) ?? [];
  if (call !== undefined) throw new Error(`Node 20 does not know ${call}(): make an array first`);
  const names = ["Deno", ...Object.values(NEWER)].filter((name) => text.includes(PREFIX + name));
  for (const [wrong, names] of text.matchAll(/\$node_Deno\.(\w+(?:\.\w+)?)/g)) check(wrong, names!);
  if (names.length === 0) return text;
  const imported = names.map((name) => `${name} as ${PREFIX}${name}`).join(", ");
  return `import { ${imported} } from "${from}";\n${text}`;
}

/** @param names The names used, such as `errors.NotFound` */
function check(call: string, names: string): void {
  const [name, below] = names.split(".") as [string, string?];
  const part = (node.Deno as Record<string, unknown>)[name];
  const isThere = part !== undefined &&
    (below === undefined || typeof part !== "object" || below in part!);
  if (isThere) return;
  throw new Error(
    `${
      call.replace(PREFIX, "")
    } is not there under Node: add it to bridge/npm/node.ts, or do without it`,
  );
}

/** The PATH without what a task adds in front: a dependency of ours has an old npm there. */
function outerPath(): string {
  const own = join(Deno.realPathSync(join(ROOT, "node_modules")), ".bin");
  const folders = (Deno.env.get("PATH") ?? "").split(delimiter);
  return folders.filter((folder) => folder !== own).join(delimiter);
}

async function run(command: string, args: string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    env: { NO_COLOR: "1", PATH: outerPath() },
  }).output();
  const [said, wrong] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${command} ${args.join(" ")} failed:\n${wrong}${said}`);
  return said!;
}

async function* filesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* filesIn(path);
    else yield path;
  }
}

/** Makes the package in a folder. @returns The file's path. */
export async function pack(into: string): Promise<string> {
  await Deno.mkdir(into, { recursive: true });
  const work = await Deno.makeTempDir();
  try {
    const draft = join(work, "draft.tgz");
    // No source maps for its JavaScript: the text changes once more.
    await run(Deno.execPath(), ["pack", "--allow-dirty", "--no-source-maps", "-o", draft], ROOT);
    await run("tar", ["-xzf", draft], work);
    const root = join(work, "package");
    await finish(root);
    const said = await run("npm", ["pack", "--json", "--pack-destination", resolve(into)], root);
    return join(resolve(into), JSON.parse(said)[0].filename);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Turns Deno's package into one for Node. */
async function finish(root: string): Promise<void> {
  const shim = join(root, "bridge/npm/node.js");
  for await (const path of filesIn(root)) {
    if (!path.endsWith(".js")) continue;
    const from = relative(dirname(path), shim);
    const code = forNode(
      await Deno.readTextFile(path),
      from.startsWith(".") ? from : `./${from}`,
    );
    await Deno.writeTextFile(path, code);
  }
  const ours = await Deno.readTextFile(new URL("node.ts", import.meta.url));
  const { code } = transformSync(ours, { loader: "ts", format: "esm", target: TARGET });
  await Deno.mkdir(dirname(shim), { recursive: true });
  await Deno.writeTextFile(shim, code);
  const manifest = join(root, "package.json");
  const { dependencies, ...about } = JSON.parse(await Deno.readTextFile(manifest));
  const whole = {
    ...about,
    engines: { node: ">=20" },
    files: ["**/*.js", "**/*.d.ts", "server/CHANGELOG.md"],
    dependencies,
  };
  await Deno.writeTextFile(manifest, `${JSON.stringify(whole, undefined, 2)}\n`);
}

if (import.meta.main) {
  Deno.exitCode = await folderTask(
    { name: "npm", help: HELP, otherwise: ".", run: pack },
    Deno.args,
  );
}
