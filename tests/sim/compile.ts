/** Compiles the core with a bug in it. */
import type { CorePatch } from "./core_bugs.ts";

const ROOT = new URL("../../", import.meta.url);
const SOURCE = "client-as/assembly/core.ts";

/** @throws {Error} if the source has changed and the bug no longer fits */
export async function compileCore(patch: CorePatch): Promise<Uint8Array<ArrayBuffer>> {
  let source = await Deno.readTextFile(new URL(SOURCE, ROOT));
  for (const [from, to] of patch) {
    const times = source.split(from).length - 1;
    if (times !== 1) throw new Error(`${SOURCE} has ${times} places with ${JSON.stringify(from)}`);
    source = source.replace(from, () => to);
  }
  const config = await Deno.readTextFile(new URL("asconfig.json", ROOT));
  const { default: asc } = await import("assemblyscript/asc");
  let compiled: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    [SOURCE, "--config", "asconfig.json", "--target", "core", "--outFile", "mutant.wasm"],
    {
      readFile: async (name: string) => {
        if (name === SOURCE) return source;
        if (name === "asconfig.json") return config;
        try {
          return await Deno.readTextFile(new URL(name, ROOT));
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
