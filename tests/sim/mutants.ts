/** Copies of the source with a known bug in them. Workers are started from them. */
import { embedded } from "../../client-as/build.ts";
import type { Edit } from "./bugs/bug.ts";
import type { Mutation } from "./mutations.ts";

const ROOT = new URL("../../", import.meta.url);

/** Everything that a worker of the simulator loads. */
const FOLDERS = [
  "server",
  "bridge/host",
  "bridge/formats",
  "bridge/mqtt",
  "bridge/testing",
  "client-as/assembly",
  "tests/sim",
  "tests/support",
];

const CORE_FOLDER = "client-as/assembly/";
/** The module that contains the compiled core. */
const EMBEDDED = "client-as/core_wasm.ts";

/** Compiler options for the flashed module, and for the same one compiled quickly, which is larger. */
const SMALL = ["--config", "asconfig.json", "--target", "core"];
const QUICKLY = ["--runtime", "stub", "--noAssert", "--initialMemory", "1"]
  .concat(...["abort=", "DEADLINES=1"].map((alias) => ["--use", alias]));

/** A copy of the source with a bug in it. */
export interface Tree extends AsyncDisposable {
  /** The module of its workers. */
  readonly worker: URL;
}

/** Creates a copy. @throws {Error} if the source has changed and the bug no longer fits */
export async function plant({ edits }: Mutation): Promise<Tree> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-sim-" });
  const tree = new URL(`file://${folder}/`);
  const changed = new Map<string, string>();
  for (const edit of edits) changed.set(edit.file, await apply(edit, changed.get(edit.file)));
  for (const name of FOLDERS) await copy(name, tree, changed);
  const isCore = edits.some(({ file }) => file.startsWith(CORE_FOLDER));
  if (isCore) {
    await Deno.writeTextFile(new URL(EMBEDDED, tree), embedded(await compile(changed)));
  } else await Deno.copyFile(new URL(EMBEDDED, ROOT), new URL(EMBEDDED, tree));
  return {
    worker: new URL("tests/sim/worker.ts", tree),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

async function copy(folder: string, tree: URL, changed: Map<string, string>): Promise<void> {
  await Deno.mkdir(new URL(`${folder}/`, tree), { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(new URL(`${folder}/`, ROOT))) {
    const path = `${folder}/${name}`;
    if (isDirectory) await copy(path, tree, changed);
    else if (name.endsWith(".ts") && !name.endsWith("_test.ts")) {
      const text = changed.get(path) ?? await Deno.readTextFile(new URL(path, ROOT));
      await Deno.writeTextFile(new URL(path, tree), text);
    }
  }
}

/**
 * @param source The file after earlier edits. @throws {Error} if there is not exactly one place to edit
 */
export async function apply({ file, find, replace }: Edit, source?: string): Promise<string> {
  const text = source ?? await Deno.readTextFile(new URL(file, ROOT));
  const times = text.split(find).length - 1;
  if (times !== 1) throw new Error(`${file} has ${times} places with ${JSON.stringify(find)}`);
  return text.replace(find, () => replace);
}

/**
 * Compiles the core.
 *
 * @param changed Its changed sources.
 * @param quickly Without optimising for size.
 * @throws {Error} if it does not compile
 */
export async function compile(
  changed: ReadonlyMap<string, string>,
  quickly = false,
): Promise<Uint8Array<ArrayBuffer>> {
  const { default: asc } = await import("assemblyscript/asc");
  let compiled: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    [`${CORE_FOLDER}core.ts`, ...(quickly ? QUICKLY : SMALL), "--outFile", "mutant.wasm"],
    {
      readFile: async (name: string) => {
        try {
          return changed.get(name) ?? await Deno.readTextFile(new URL(name, ROOT));
        } catch {
          return null; // it looks in several places
        }
      },
      writeFile: (_: string, contents: string | Uint8Array) => {
        if (typeof contents !== "string") compiled = new Uint8Array(contents);
      },
      listFiles: () => [],
    },
  );
  if (error || !compiled) {
    throw new Error(`a mutant does not compile: ${error?.message}\n${stderr}`);
  }
  return compiled;
}
