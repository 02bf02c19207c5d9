/**
 * The compiler for the chip: Debian's `xtensa-lx106-elf-gcc`, run so that the same inputs give the same
 * bytes, whatever their path.
 *
 * @module
 */
import { BuildError } from "./errors.ts";

/** Debian's packages. */
const TOOLCHAIN = "gcc-xtensa-lx106 binutils-xtensa-lx106 picolibc-xtensa-lx106-elf";
const PACKAGES: Record<string, string> = { wasm2c: "wabt" };

/** Lines of a failed program's output to show. */
const MOST_LINES = 20;

/** C library headers, and the library. */
export const LIBC = "/usr/lib/xtensa-lx106-elf";

const FLAGS = [
  "-Os",
  "-std=gnu11",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-mlongcalls", // calls reach from RAM to flash
  "-mtext-section-literals",
  "-mforce-l32", // constants are in flash, which can be read only in words
  "-ffunction-sections",
  "-fdata-sections",
  "-fno-builtin-printf",
  "-isystem",
  `${LIBC}/include`,
];

/** Runs a program of the toolchain. @throws {BuildError} if it is missing, or fails */
export async function run(program: string, args: string[], cwd: string): Promise<string> {
  let output;
  try {
    const env = { LC_ALL: "C", SOURCE_DATE_EPOCH: "0" };
    output = await new Deno.Command(program, { args, cwd, env, stdin: "null" }).output();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    const packages = program.startsWith("xtensa-") ? TOOLCHAIN : PACKAGES[program] ?? program;
    throw new BuildError(`${program} is missing: apt-get install ${packages}`, { cause });
  }
  const decoder = new TextDecoder();
  if (output.success) return decoder.decode(output.stdout);
  const said = decoder.decode(output.stderr).trim().split("\n");
  const more = said.length > MOST_LINES ? `\n… and ${said.length - MOST_LINES} lines more` : "";
  throw new BuildError(`${program} failed:\n${said.slice(0, MOST_LINES).join("\n")}${more}`);
}

/** A source to compile, and how. Paths are relative to the work folder. */
export interface Unit {
  source: string;
  object: string;
  flags: string[];
  /** Changes the assembly between compiler and assembler. */
  rewrite?: (assembly: string) => string;
}

/** Compiles all units, two at a time. */
export async function compileAll(
  units: Unit[],
  cwd: string,
  say: (line: string) => void = () => {},
): Promise<void> {
  const queue = [...units];
  const work = async () => {
    for (let unit; (unit = queue.shift());) {
      say(`compiling ${unit.source}`);
      await compile(unit, cwd);
    }
  };
  await Promise.all([work(), work()]);
}

async function compile({ source, object, flags, rewrite }: Unit, cwd: string): Promise<void> {
  const gcc = "xtensa-lx106-elf-gcc";
  const all = [...FLAGS, `-ffile-prefix-map=${cwd}=.`, ...flags];
  if (!rewrite) {
    await run(gcc, [...all, "-c", source, "-o", object], cwd);
    return;
  }
  const assembly = `${object}.s`;
  await run(gcc, [...all, "-S", source, "-o", assembly], cwd);
  const text = await Deno.readTextFile(`${cwd}/${assembly}`);
  await Deno.writeTextFile(`${cwd}/${assembly}`, rewrite(text));
  await run(gcc, ["-mlongcalls", "-mtext-section-literals", "-c", assembly, "-o", object], cwd);
}

/** Bytes of each section of an object or ELF file. @throws {BuildError} */
export async function sectionSizes(file: string, cwd: string): Promise<Record<string, number>> {
  const listed = await run("xtensa-lx106-elf-size", ["-A", file], cwd);
  const rows = [...listed.matchAll(/^(\.\S+)\s+(\d+)\s/gm)];
  return Object.fromEntries(rows.map(([, name, bytes]) => [name!, Number(bytes)]));
}
