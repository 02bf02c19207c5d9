/**
 * Builds the firmware for the emulator: one ELF file for QEMU's lx106. For a release, also the files for a flash, so
 * that a release can be tried without a chip.
 *
 * @module
 */
import type { Application, BuildOptions, Built, Target } from "../../target.ts";
import { builtIn, flavourDefines } from "../../target.ts";
import { readElf } from "../../elf.ts";
import { writeFlashFiles } from "../../flash_files.ts";
import { imagesOf } from "../../placement.ts";
import { encodeApplication } from "../../../formats/application.ts";
import { compileFirmware, LIBRARIES } from "../../firmware.ts";
import { run, sectionSizes } from "../../toolchain.ts";

/** Start of the RAM for code. */
const IRAM = 0x40100000;

/** Memory for the application, in bytes: about as much as the chip has free. */
const MEMORY = 32 * 1024;

/** Builds the firmware for the emulator. @throws {BuildError} */
export async function build(options: BuildOptions): Promise<Built> {
  const { out, version, flavour, applications, say } = options;
  const aot = builtIn(options);
  const elf = await buildEmulator(`${out}/work`, version, {
    defines: flavourDefines(flavour),
    say,
    aot,
  });
  await Deno.copyFile(elf, `${out}/emulator.elf`);
  const files: Record<string, string> = { firmware: `${out}/emulator.elf` };
  for (const { name, wasm } of aot ? [] : applications) {
    files[name] = `${out}/${name}.app.bin`;
    await Deno.writeFile(files[name], encodeApplication(name, wasm));
  }
  if (options.release) {
    // As for a chip: the section that only starts QEMU is not part of a flash.
    const program = readElf(await Deno.readFile(elf));
    const sections = program.sections.filter(({ name }) => name !== ".reset");
    const images = imagesOf({ ...program, sections, entry: IRAM });
    Object.assign(files, await writeFlashFiles(options, "emulator", images, undefined));
  }
  const sections = await sectionSizes("emulator.elf", out);
  const size = (...names: string[]) => names.reduce((sum, name) => sum + (sections[name] ?? 0), 0);
  const sizes = {
    "code in flash": size(".irom.text"),
    "constants in flash": size(".rodata"),
    "RAM at the start (data and bss)": size(".data", ".bss") - MEMORY,
  };
  return { files, sizes };
}

/** Options of a build for the emulator. */
interface EmulatorBuild extends Pick<Target, "more"> {
  defines?: string[];
  say?: (line: string) => void;
  /** The application to compile into the firmware instead of interpreting one. */
  aot?: Application | undefined;
  /** Compiler flags for it. */
  aotFlags?: string[];
}

/** Compiles and links into `folder`, and returns the path of the ELF file. @throws {BuildError} */
export async function buildEmulator(
  folder: string,
  version: string,
  { defines, say = () => {}, aot, aotFlags, ...changes }: EmulatorBuild = {},
): Promise<string> {
  const { objects } = await compileFirmware(
    folder,
    {
      name: "emulator",
      folder: new URL("./", import.meta.url),
      flags: [`-DEMULATOR_MEMORY=${MEMORY}`],
      ...changes,
    },
    { version, ...(defines ? { defines } : {}), say, aot, aotFlags },
  );
  say("linking emulator.elf");
  const args = ["-nostdlib", "-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,--build-id=none"];
  args.push("-T", "target/linker.ld", ...objects, ...LIBRARIES, "-o", "emulator.elf");
  await run("xtensa-lx106-elf-gcc", args, folder);
  return `${folder}/emulator.elf`;
}
