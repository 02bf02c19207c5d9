import asc from "assemblyscript/asc";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Compiles a text as if it were the example `client-as/examples/probe.ts`, the way the build does. */
export async function compile(source: string): Promise<Uint8Array<ArrayBuffer>> {
  const name = "client-as/examples/probe.ts";
  const options = ["--config", "asconfig.json", "--target", "application", "--baseDir", ROOT];
  let wasm: unknown;
  const { error, stderr } = await asc.main([name, ...options, "--outFile", "probe.wasm"], {
    readFile: async (file: string, folder: string) => {
      if (file === name) return source;
      try {
        return await Deno.readTextFile(`${folder}/${file}`);
      } catch {
        return null; // the compiler looks in several places
      }
    },
    writeFile: (_file, contents) => void (wasm = contents),
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return wasm as Uint8Array<ArrayBuffer>;
}
