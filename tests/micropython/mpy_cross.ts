/**
 * Compiles the package for boards as `mpy-cross -O3` does: with that compiler as WASM from npm, of MicroPython 1.19.1.
 * Its files have version 6, which 1.20 and later load.
 *
 *     deno run -A tests/micropython/mpy_cross.ts FOLDER [MACHINE...]
 *
 * Each module of the package becomes a file in FOLDER; `cipher_native.py`, which is machine code, one in FOLDER/MACHINE for each
 * machine: `xtensa` is an ESP8266.
 *
 * @module
 */
import cross from "@pybricks/mpy-cross-v6";
import { PACKAGE } from "./interpreters.ts";

const WASM = "@pybricks/mpy-cross-v6/build/mpy-cross-v6.wasm";

/** Compiles a module of the package into a folder. */
async function compile(wasm: string, name: string, folder: string, ...options: string[]) {
  const text = await Deno.readTextFile(`${PACKAGE}/holdfast/${name}`);
  const { mpy, err } = await cross.compile(name, text, ["-O3", ...options], wasm);
  if (!mpy) throw new Error(`${name} ${options}: ${err.join("\n")}`);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/${name.replace(/py$/, "mpy")}`, mpy);
}

if (import.meta.main) {
  const [folder, ...machines] = Deno.args;
  if (!folder) throw new Error("the argument FOLDER is missing");
  // The compiler fetches a URL, and would treat a path as a URL that Deno cannot fetch.
  const bytes = await Deno.readFile(new URL(import.meta.resolve(WASM)));
  const wasm = URL.createObjectURL(new Blob([bytes], { type: "application/wasm" }));
  for await (const { name } of Deno.readDir(`${PACKAGE}/holdfast`)) {
    if (!name.endsWith(".py") || name === "cpython.py") continue;
    if (name !== "cipher_native.py") await compile(wasm, name, folder);
    else {
      for (const machine of machines) {
        await compile(wasm, name, `${folder}/${machine}`, `-march=${machine}`);
      }
    }
  }
}
