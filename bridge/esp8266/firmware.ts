/**
 * Compiles the firmware for a target: its own sources and the target's with the interpreter's.
 *
 * It works in a folder with copies of all sources, so that no object file depends on the path of the project.
 *
 * @module
 */
import { translate } from "./aot.ts";
import { rewriteOperations } from "./operations.ts";
import type { Application, Target } from "./target.ts";
import { compileAll, LIBC, type Unit } from "./toolchain.ts";
import { WASM3_SOURCES, wasm3Sources } from "./wasm3.ts";
import { patchWasm3 } from "./wasm3_patches.ts";

const HERE = new URL("./", import.meta.url);

/** The result of compiling. */
export interface Objects {
  /** The work folder. */
  folder: string;
  /** Object files in it, in a fixed order. */
  objects: string[];
}

/** Compiles into `folder`, which is emptied first. @throws {BuildError} */
export async function compileFirmware(
  folder: string,
  target: Target,
  options: {
    version: string;
    defines?: string[];
    /** The application to compile into the firmware instead of interpreting one. */
    aot?: Application | undefined;
    /** Compiler flags for that application. */
    aotFlags?: string[] | undefined;
    say?: (line: string) => void;
  },
): Promise<Objects> {
  await emptyFolder(folder);
  await Deno.mkdir(`${folder}/o`);
  copyAll(new URL("firmware/", HERE), `${folder}/firmware`);
  copyAll(target.folder, `${folder}/target`);
  const { aot, aotFlags = [] } = options;
  if (aot) {
    copyAll(new URL("aot/", HERE), `${folder}/aot`);
    for (const [name, text] of Object.entries(await translate(aot))) {
      Deno.writeTextFileSync(`${folder}/aot/${name}`, text);
    }
  } else {
    await Deno.mkdir(`${folder}/wasm3`);
    for (const [name, text] of patchWasm3(await wasm3Sources())) {
      Deno.writeTextFileSync(`${folder}/wasm3/${name}`, text);
    }
  }
  const defines = [`-DFIRMWARE_VERSION="${options.version}"`, ...(options.defines ?? [])];
  const engine = ["-include", "firmware/wasm3_config.h", "-Ifirmware"];
  if (aot) defines.push("-DENGINE_AOT");
  const units: Unit[] = [];
  const add = (source: string, flags: string[], rewrite?: Unit["rewrite"]) => {
    const object = `o/${source.replaceAll("/", "_")}.o`;
    units.push({ source, object, flags, ...(rewrite ? { rewrite } : {}) });
  };
  for (const name of filesOf(`${folder}/firmware`, /\.c$/)) {
    const isEngine = name === "engine_wasm3.c";
    if (aot && isEngine) continue;
    add(`firmware/${name}`, isEngine ? [...engine, "-isystem", "wasm3", ...defines] : defines);
  }
  for (const name of filesOf(`${folder}/target`, /\.[cS]$/)) {
    add(`target/${name}`, ["-Ifirmware", ...defines, ...(target.flags ?? [])]);
  }
  for (const { name, text } of target.more ?? []) {
    Deno.writeTextFileSync(`${folder}/${name}`, text);
    add(name, ["-Ifirmware", ...defines]);
  }
  if (aot) {
    // Its linear memory is in RAM, where bytes can be read; data in flash are copied by words.
    // -O2 halves the time, for less than 1 KB of flash.
    const flags = ["-Ifirmware", "-DNDEBUG", "-DWASM_RT_USE_STACK_DEPTH_COUNT=0", "-w", "-O2"];
    flags.push(...aotFlags);
    add("aot/app.c", [...flags, "-mno-force-l32", "-fno-builtin-memcpy"]);
    add("aot/engine_aot.c", [...flags, ...defines]);
  } else {
    for (const name of WASM3_SOURCES) {
      const rewrite = name === "m3_compile.c" ? rewriteOperations : undefined;
      add(`wasm3/${name}`, [...engine, "-w"], rewrite);
    }
  }
  await compileAll(units, folder, options.say);
  return { folder, objects: units.map(({ object }) => object) };
}

/** Linker arguments behind the objects: the compiler's own library and the C library. */
export const LIBRARIES = ["-lgcc", `-L${LIBC}/lib`, "-lc", "-lgcc"];

async function emptyFolder(folder: string): Promise<void> {
  try {
    await Deno.remove(folder, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(folder, { recursive: true });
}

function copyAll(from: URL, to: string): void {
  Deno.mkdirSync(to);
  for (const { name, isFile } of Deno.readDirSync(from)) {
    if (isFile && /\.(c|h|S|ld)$/.test(name)) {
      Deno.copyFileSync(new URL(name, from), `${to}/${name}`);
    }
  }
}

function filesOf(folder: string, pattern: RegExp): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => pattern.test(name))
    .sort();
}
