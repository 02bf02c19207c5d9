/**
 * The interpreter's sources: wasm3 0.5.0 (MIT licence), from the npm package `react-native-webassembly`. They are
 * fetched once, into a cache folder outside of this project, and used only if they are, byte for byte, the ones that
 * were reviewed.
 *
 * (An import in deno.json would also install React Native, a peer dependency of the package.)
 *
 * @module
 */
import { createHash } from "node:crypto";
import { BuildError } from "./errors.ts";

const PACKAGE = "react-native-webassembly";
const VERSION = "0.3.3";
/** The package's files that are used. SHA256 is that of all of them, concatenated. */
export const WASM3_SOURCES = [
  "m3_code.c",
  "m3_compile.c",
  "m3_core.c",
  "m3_env.c",
  "m3_function.c",
  "m3_module.c",
  "m3_parse.c",
] as const;
const HEADERS = [
  "m3_code.h",
  "m3_compile.h",
  "m3_config.h",
  "m3_config_platforms.h",
  "m3_core.h",
  "m3_env.h",
  "m3_exception.h",
  "m3_exec.h",
  "m3_exec_defs.h",
  "m3_function.h",
  "m3_info.h",
  "m3_math_utils.h",
  "wasm3.h",
  "wasm3_defs.h",
] as const;
const SHA256 = "1e48905ee0498daf6bc3a41fce7657e5542568571db19575e0af3d2c068441f1";

/** The cache folder: its contents can be fetched again at any time. */
function cacheFolder(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "."}/.cache`;
  return `${base}/holdfast/${PACKAGE}-${VERSION}`;
}

/** The sources by their names. @throws {BuildError} if they cannot be fetched, or are not the reviewed ones */
export async function wasm3Sources(): Promise<Map<string, string>> {
  const folder = cacheFolder();
  const read = () => {
    const names = [...WASM3_SOURCES, ...HEADERS];
    return new Map(
      names.map((name) => [name, Deno.readTextFileSync(`${folder}/package/cpp/${name}`)]),
    );
  };
  let sources: Map<string, string>;
  try {
    sources = read();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await bring(folder);
    sources = read();
  }
  const hash = createHash("sha256");
  for (const text of sources.values()) hash.update(text);
  const found = hash.digest("hex");
  if (found === SHA256) return sources;
  throw new BuildError(
    `${folder} does not contain the sources of ${PACKAGE}@${VERSION} (SHA-256 ${found}): delete it to fetch them again`,
  );
}

async function bring(folder: string): Promise<void> {
  // Another process may do the same at this moment: each uses a folder of its own, and one of them wins.
  const parent = folder.slice(0, folder.lastIndexOf("/"));
  await Deno.mkdir(parent, { recursive: true });
  const work = await Deno.makeTempDir({ dir: parent });
  try {
    await run("npm", ["pack", `${PACKAGE}@${VERSION}`, "--silent"], work);
    await run("tar", ["xzf", `${PACKAGE}-${VERSION}.tgz`], work);
    try {
      await Deno.rename(work, folder);
    } catch (error) {
      if (!isThere(`${folder}/package`)) throw error;
    }
  } finally {
    if (isThere(work)) await Deno.remove(work, { recursive: true });
  }
}

async function run(program: string, args: string[], cwd: string): Promise<void> {
  const fix = "npm (of Node) fetches the interpreter's sources, once; that needs a network";
  let output;
  try {
    output = await new Deno.Command(program, { args, cwd, stdin: "null" }).output();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new BuildError(`${program} is not installed: ${fix}`, { cause });
  }
  if (output.success) return;
  const said = new TextDecoder().decode(output.stderr).trim();
  throw new BuildError(`${program} ${args.join(" ")} failed: ${fix}\n${said}`);
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
