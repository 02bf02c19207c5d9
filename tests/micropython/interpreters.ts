/**
 * The interpreters that the client in `bridge/micropython` runs under in tests: CPython, MicroPython as WASM from npm, and
 * the unix MicroPython that the environment's HOLDFAST_MICROPYTHON names, if it does.
 *
 * @module
 */
import { loadMicroPython } from "@micropython/micropython-webassembly-pyscript";
import { tool } from "../support/tools.ts";

/** The folder that the package `holdfast` lies in. */
export const PACKAGE = new URL("../../bridge/micropython", import.meta.url).pathname;
/** This folder. */
const HERE = new URL("./", import.meta.url).pathname;

/** A program of this folder. */
export function program(name: string): string {
  return HERE + name;
}

/** Python programs that can be started: each one's name, and its path. */
export function interpreters(): [name: string, path: string][] {
  const found: [string, string][] = [];
  const python = tool("python3", "python3");
  if (python) found.push(["CPython", python]);
  const micropython = Deno.env.get("HOLDFAST_MICROPYTHON");
  if (micropython) found.push(["MicroPython", micropython]);
  return found;
}

/**
 * Starts MicroPython in WASM, with the package and the programs of this folder to be imported. It has no network of its own:
 * `shims/` plays one. One at a time in a process: two would mix up their objects.
 *
 * @returns what the expression is, with what the statements before it have imported: a function, for example
 */
export async function micropython<T>(
  statements: string,
  expression: string,
  { heapsize = 1 << 20 } = {},
): Promise<T> {
  const python = await loadMicroPython({ heapsize, stdout: (text: string) => console.log(text) });
  const { FS } = python;
  for (const folder of ["/lib", "/lib/holdfast"]) FS.mkdir(folder);
  const copy = (from: string, to: string) => {
    for (const { name } of Deno.readDirSync(from)) {
      if (name.endsWith(".py")) FS.writeFile(`${to}/${name}`, Deno.readFileSync(`${from}/${name}`));
    }
  };
  copy(`${PACKAGE}/holdfast`, "/lib/holdfast");
  copy(HERE, "/lib");
  copy(`${HERE}shims`, "/lib");
  python.runPython(
    `import sys\nsys.path.insert(0, "/lib")\n${statements}\nresult = ${expression}`,
  );
  return python.globals.get("result");
}
