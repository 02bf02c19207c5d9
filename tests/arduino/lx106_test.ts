/**
 * The library compiled for the ESP8266, and its size: `deno task test tests/arduino/lx106_test.ts` prints the figures
 * of bridge/arduino/README.md.
 */
import { assert } from "@std/assert";
import { toolTest } from "../support/tools.ts";
import { compiler, HERE, LIBRARY, outputOf, SOURCES } from "./build.ts";

const LIBC = "/usr/lib/xtensa-lx106-elf/include";
const TOOLS = {
  "xtensa-lx106-elf-gcc": "gcc-xtensa-lx106",
  "xtensa-lx106-elf-g++": "gcc-xtensa-lx106",
  "xtensa-lx106-elf-nm": "binutils-xtensa-lx106",
  "xtensa-lx106-elf-size": "binutils-xtensa-lx106",
  [`${LIBC}/string.h`]: "picolibc-xtensa-lx106-elf",
};

/** The flags with which the ESP8266's core compiles sketches. */
const FLAGS = [
  "-Os",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-mlongcalls",
  "-mtext-section-literals",
  "-falign-functions=4",
  "-ffunction-sections",
  "-fdata-sections",
  "-DESP8266",
  `-I${HERE}/standin`,
  `-I${LIBRARY}/src`,
  "-isystem",
  LIBC,
];
const CPP = ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"];

/** Default buffers, channels, and the smallest buffers. */
const SKETCHES = ["Counter", "Thermostat", "Wired"];

/** Bytes that a sketch and the library need, without Arduino's core and the C library. */
interface Size {
  /** In flash. */
  code: number;
  /** In RAM on this chip. */
  constants: number;
  /** The object `holdfast`. */
  link: number;
}

async function sizeOf(tools: Record<string, string>, name: string, folder: string): Promise<Size> {
  const objects: string[] = [];
  const compile = async (tool: "gcc" | "g++", flags: string[], source: string[]) => {
    const object = `${folder}/${objects.length}.o`;
    objects.push(object);
    const program = tools[`xtensa-lx106-elf-${tool}`]!;
    await compiler(program, [...FLAGS, ...flags, "-c", ...source, "-o", object]);
  };
  for (const source of SOURCES.c) await compile("gcc", ["-std=gnu17"], [source]);
  for (const source of SOURCES.cpp) await compile("g++", CPP, [source]);
  const sketch = `${LIBRARY}/examples/${name}/${name}.ino`;
  await compile("g++", CPP, ["-include", "Arduino.h", "-x", "c++", sketch]);
  // Keeps only what the sketch uses; symbols of the core and the C library stay unresolved.
  const linked = `${folder}/${name}.elf`;
  await compiler(tools["xtensa-lx106-elf-gcc"]!, [
    ...["-nostdlib", "-Wl,--gc-sections", "-Wl,--unresolved-symbols=ignore-all"],
    ...["-Wl,--entry=_Z4loopv", "-Wl,--undefined=_Z5setupv", "-Wl,--undefined=holdfast"],
    ...[...objects, "-o", linked],
  ]);
  const sections = await outputOf(tools["xtensa-lx106-elf-size"]!, ["-A", linked]);
  const bytes = (section: string) =>
    [...sections.matchAll(new RegExp(`^\\${section}\\S*\\s+(\\d+)`, "gm"))]
      .reduce((sum, [, size]) => sum + Number(size), 0);
  const symbols = await outputOf(tools["xtensa-lx106-elf-nm"]!, ["-S", linked]);
  const [, link] = symbols.match(/^\w+ (\w+) [bB] holdfast$/m) ?? [];
  assert(link !== undefined, symbols);
  return { code: bytes(".text"), constants: bytes(".rodata"), link: parseInt(link, 16) };
}

toolTest<string>(
  "the library compiles for the chip without a warning, and keeps its budget",
  TOOLS,
  async (tools) => {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
    try {
      for (const name of SKETCHES) {
        const { code, constants, link } = await sizeOf(tools, name, folder);
        console.log(`${name}: code ${code}, constants ${constants}, link ${link}`);
        assert(code > 5000 && code < 18_000, `${code} bytes of code`);
        assert(constants < 1600, `${constants} bytes of constants`);
        assert(link > 1024 && link < 3400, `${link} bytes of a link`);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
