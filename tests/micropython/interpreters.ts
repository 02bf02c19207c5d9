/**
 * The interpreters that the client in `bridge/micropython` runs under in tests: CPython, MicroPython as WASM from npm,
 * and the unix MicroPython that HOLDFAST_MICROPYTHON names, if it is set.
 *
 * @module
 */
import { loadMicroPython } from "@micropython/micropython-webassembly-pyscript";
import { tool } from "../support/tools.ts";

/** The folder with the package `holdfast`. */
export const PACKAGE = new URL("../../bridge/micropython", import.meta.url).pathname;
/** This folder. */
const HERE = new URL("./", import.meta.url).pathname;

/** A program of this folder. */
export function program(name: string): string {
  return HERE + name;
}

/** Names and paths of the Python interpreters that can be started. */
export function interpreters(): [name: string, path: string][] {
  const found: [string, string][] = [];
  const python = tool("python3", "python3");
  if (python) found.push(["CPython", python]);
  const micropython = Deno.env.get("HOLDFAST_MICROPYTHON");
  if (micropython) found.push(["MicroPython", micropython]);
  return found;
}

/**
 * Builds of MicroPython in WASM from before and after 1.21.0 and 1.22.0, which npm does not have: their entries in
 * deno.json, and their `sys.version`. They have no asyncio: `shims/older` replaces it, without tasks.
 */
export const OLDER: readonly [name: string, version: string][] = [
  ["micropython-1.20", "v1.20.0-297"],
  ["micropython-1.21", "v1.22.0-preview.278"],
  ["micropython-1.22", "v1.23.0-preview.223"],
];

/**
 * Starts MicroPython in WASM, which can import the package and the programs of this folder. It has no network: `shims/`
 * simulates one. One at a time in a process: two would mix up their objects.
 *
 * @param options.holdfast The folder of the package's modules, which may be compiled.
 * @param options.older Name of one of `OLDER`. Default: the newest MicroPython.
 * @returns the value of the expression, for example a function, evaluated after the statements
 */
export async function micropython<T>(
  statements: string,
  expression: string,
  { heapsize = 1 << 20, older = "", holdfast = `${PACKAGE}/holdfast` } = {},
): Promise<T> {
  const options = { heapsize, stdout: (text: string) => console.log(text) };
  const python = await (older ? loadOlder(older, options) : loadMicroPython(options));
  const { FS } = python;
  for (const folder of ["/lib", "/lib/holdfast"]) FS.mkdir(folder);
  const copy = (from: string, to: string) => {
    for (const { name } of Deno.readDirSync(from)) {
      if (/\.m?py$/.test(name)) {
        FS.writeFile(`${to}/${name}`, Deno.readFileSync(`${from}/${name}`));
      }
    }
  };
  copy(holdfast, "/lib/holdfast");
  copy(HERE, "/lib");
  copy(`${HERE}shims`, "/lib");
  if (older) copy(`${HERE}shims/older`, "/lib");
  python.runPython(
    `import sys\nsys.path.insert(0, "/lib")\n${statements}\nresult = ${expression}`,
  );
  return python.globals.get("result");
}

/** An older build does not find its WASM under Deno. */
async function loadOlder(name: string, options: object) {
  const { loadMicroPython } = await import(name);
  const url = new URL("micropython.wasm", import.meta.resolve(name));
  return loadMicroPython({ ...options, url: url.pathname });
}
