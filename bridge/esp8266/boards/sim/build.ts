/**
 * The board that QEMU emulates: one ELF file.
 *
 * @module
 */
import type { Application, BuildOptions, Built } from "../../board.ts";
import { builtIn, flavourDefines } from "../../board.ts";
import { encodeApplication } from "../../../formats/application.ts";
import { type BoardSources, compileFirmware, LIBRARIES } from "../../firmware.ts";
import { run, sectionSizes } from "../../toolchain.ts";

/** Memory for the application, in bytes: about what the chip has left. */
const MEMORY = 32 * 1024;

/** Builds the firmware for the emulator. @throws {BuildError} */
export async function build(options: BuildOptions): Promise<Built> {
  const { out, version, flavour, applications, say } = options;
  const aot = builtIn(options);
  const elf = await buildSim(`${out}/work`, version, {
    defines: flavourDefines(flavour),
    say,
    aot,
  });
  await Deno.copyFile(elf, `${out}/sim.elf`);
  const files: Record<string, string> = { firmware: `${out}/sim.elf` };
  for (const { name, wasm } of aot ? [] : applications) {
    files[name] = `${out}/${name}.app.bin`;
    await Deno.writeFile(files[name], encodeApplication(name, wasm));
  }
  const sections = await sectionSizes("sim.elf", out);
  const size = (...names: string[]) => names.reduce((sum, name) => sum + (sections[name] ?? 0), 0);
  const sizes = {
    "code in flash": size(".irom.text"),
    "constants in flash": size(".rodata"),
    "RAM at the start (data and bss)": size(".data", ".bss") - MEMORY,
  };
  return { files, sizes };
}

/** How the firmware for the emulator may differ. */
interface SimOptions extends Pick<BoardSources, "more"> {
  defines?: string[];
  say?: (line: string) => void;
  /** The application, if it is to be part of the firmware instead of being interpreted. */
  aot?: Application | undefined;
  /** For its compiler. */
  aotFlags?: string[];
}

/** Compiles and links into `folder`, and returns the path of the ELF file. @throws {BuildError} */
export async function buildSim(
  folder: string,
  version: string,
  { defines, say = () => {}, aot, aotFlags, ...changes }: SimOptions = {},
): Promise<string> {
  const { objects } = await compileFirmware(
    folder,
    {
      name: "sim",
      folder: new URL("./", import.meta.url),
      flags: [`-DSIM_MEMORY=${MEMORY}`],
      ...changes,
    },
    { version, ...(defines ? { defines } : {}), say, aot, aotFlags },
  );
  say("linking sim.elf");
  const args = ["-nostdlib", "-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,--build-id=none"];
  args.push("-T", "board/link.ld", ...objects, ...LIBRARIES, "-o", "sim.elf");
  await run("xtensa-lx106-elf-gcc", args, folder);
  return `${folder}/sim.elf`;
}
