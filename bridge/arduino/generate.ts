/**
 * Generates the library's files that come from elsewhere: the core as C, by wasm2c of Debian's wabt; its numbers; the
 * firmware's code for proofs and sealed links; the licence. They are committed, as an Arduino library is just its
 * folder; a test compares them.
 *
 *     deno task build && deno run -A bridge/arduino/generate.ts
 *
 * @module
 */
import * as registers from "../../client-as/assembly/registers.ts";
import { run } from "../esp8266/toolchain.ts";

const ROOT = new URL("../../", import.meta.url);
const LIBRARY = new URL("./", import.meta.url);
const WASM = new URL("client-as/build/core.wasm", ROOT);
const FIRMWARE = new URL("bridge/esp8266/firmware/", ROOT);

/** Name in the library's C symbols, and of the files that wasm2c writes. */
const MODULE = "holdfast_core";

/** Sources of the firmware that the library shares, without their extensions. */
const SHARED = ["hmac", "chacha20_poly1305", "x25519", "records"];

/** All generated files, by their paths in the library. @throws {BuildError} if wasm2c is missing, or fails */
export async function generate(): Promise<Record<string, string>> {
  return {
    ...await translated(),
    "src/core/numbers.h": await numbers(),
    ...await shared(),
    "LICENSE": await Deno.readTextFile(new URL("LICENSE", ROOT)),
  };
}

async function shared(): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of SHARED.flatMap((name) => [`${name}.h`, `${name}.c`])) {
    files[`src/core/${name}`] = await Deno.readTextFile(new URL(name, FIRMWARE));
  }
  return files;
}

/** The output of wasm2c for the core, unchanged. */
async function translated(): Promise<Record<string, string>> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  try {
    await Deno.copyFile(WASM, `${folder}/core.wasm`);
    const source = `${MODULE}.c`;
    await run("wasm2c", ["core.wasm", `--module-name=${MODULE}`, "-o", source], folder);
    return {
      [`src/core/${source}`]: await Deno.readTextFile(`${folder}/${source}`),
      [`src/core/${MODULE}.h`]: await Deno.readTextFile(`${folder}/${MODULE}.h`),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function numbers(): Promise<string> {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  return [
    "/* Made by generate.ts, of client-as/assembly/registers.ts and the core. */",
    "#ifndef HOLDFAST_NUMBERS_H",
    "#define HOLDFAST_NUMBERS_H",
    "",
    `#define HOLDFAST_VERSION ${JSON.stringify(version)}`,
    "",
    "/* Bytes of the core's memory beside those that its settings ask for. */",
    `#define HF_CORE_FIXED ${await fixedBytes()}`,
    "",
    "enum {",
    ...Object.entries(registers).map(([name, value]) => `  HF_CORE_${name} = ${value},`),
    "};",
    "",
    "#endif",
    "",
  ].join("\n");
}

/** Bytes of memory that the core needs if its settings are all 0. */
async function fixedBytes(): Promise<number> {
  const { instance } = await WebAssembly.instantiate(await Deno.readFile(WASM), {
    host: { hmac() {} },
  });
  const { init } = instance.exports as { init(base: number, now: number): number };
  return init(0, 0);
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(await generate())) {
    await Deno.writeTextFile(new URL(path, LIBRARY), text);
    console.log(path);
  }
}
