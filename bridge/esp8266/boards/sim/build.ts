/**
 * The board that QEMU emulates: one ELF file.
 *
 * @module
 */
import { compileFirmware, LIBRARIES } from "../../firmware.ts";
import { run } from "../../toolchain.ts";

/** Memory for the application, in bytes: about what the chip has left. */
const MEMORY = 32 * 1024;

/** Builds the firmware for the emulator, and returns the path of its ELF file. @throws {BuildError} */
export async function buildSim(
  folder: string,
  version: string,
  defines: string[] = [],
): Promise<string> {
  const { objects } = await compileFirmware(folder, {
    name: "sim",
    folder: new URL("./", import.meta.url),
    flags: [`-DSIM_MEMORY=${MEMORY}`],
  }, { version, defines });
  const args = ["-nostdlib", "-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,--build-id=none"];
  args.push("-T", "board/link.ld", ...objects, ...LIBRARIES, "-o", "sim.elf");
  await run("xtensa-lx106-elf-gcc", args, folder);
  return `${folder}/sim.elf`;
}
