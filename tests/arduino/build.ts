/**
 * Compiles sketches with the library: for this machine, with a stand-in for Arduino's API, or partly for the chip.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url)).replace(/\/$/, "");

/** The library. */
export const LIBRARY = here("../../bridge/arduino");
/** This folder. */
export const HERE = here("./");

/** The library's sources, which are compiled with each sketch. */
export const SOURCES = {
  c: ["holdfast_core", "hmac", "chacha20_poly1305", "x25519", "records"]
    .map((name) => `${LIBRARY}/src/core/${name}.c`),
  cpp: ["Holdfast", "HoldfastChannels", "HoldfastSeal", "HoldfastSettings"]
    .map((name) => `${LIBRARY}/src/${name}.cpp`),
};

const WARNINGS = ["-Wall", "-Wextra", "-Werror"];
const CHECKED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/** What a board's core defines, and the C++ standard that it compiles with. */
export const BOARDS = {
  ESP8266: ["-DESP8266", "-std=gnu++17"],
  ESP32: ["-DESP32", "-std=gnu++2b"],
  "Pico W": ["-DARDUINO_ARCH_RP2040", "-std=gnu++17"],
  other: ["-std=gnu++11"],
} as const;

/** How to build a sketch. */
export interface BuildOptions {
  board?: keyof typeof BOARDS;
  /** Flags instead of those for the sanitizers. */
  flags?: string[];
}

/** @throws {Error} with the compiler's output */
export async function compiler(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    args,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Flags for a sketch or a C++ file: an .ino is C++ that includes <Arduino.h> first. */
const asSketch = (sketch: string) => ["-include", "Arduino.h", "-x", "c++", sketch];
const FOLDERS = [`-I${HERE}/standin`, `-I${LIBRARY}/src`];

/** Compiles sketches and the library's C++ for a board, without a program. @throws {Error} if there is a warning */
export async function compileFor(
  board: keyof typeof BOARDS,
  gpp: string,
  sketches: string[],
  folder: string,
): Promise<void> {
  for (const source of [...sketches, ...SOURCES.cpp]) {
    await compiler(gpp, [
      ...[...BOARDS[board], ...WARNINGS, "-O1", ...FOLDERS, "-c", ...asSketch(source)],
      ...["-o", `${folder}/sketch.o`],
    ]);
  }
}

/** Builds the program `output` of a sketch, a file of C++ or an .ino. @throws {Error} with the compiler's output */
export async function buildSketch(
  gpp: string,
  sketch: string,
  output: string,
  { board = "ESP8266", flags = CHECKED }: BuildOptions = {},
): Promise<void> {
  const objects = SOURCES.c.map((_, at) => `${output}.${at}.o`);
  const compileC = SOURCES.c.map((source, at) =>
    compiler(gpp, [
      ...["-x", "c", "-std=gnu11", ...WARNINGS, ...flags, "-c", source],
      ...["-o", objects[at]!],
    ])
  );
  await Promise.all(compileC);
  await compiler(gpp, [
    ...[...BOARDS[board], ...WARNINGS, ...flags, ...FOLDERS, ...asSketch(sketch), ...SOURCES.cpp],
    ...[`${HERE}/standin/standin.cpp`, "-x", "none", ...objects, "-o", output],
  ]);
}

/** A program's output. @throws {Error} with its output if it fails */
export async function outputOf(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, env }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
