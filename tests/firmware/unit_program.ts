/**
 * Parts of the firmware on this machine, in a program of `units/` that answers lines.
 *
 * @module
 */
import { run } from "../../bridge/esp8266/toolchain.ts";

const FIRMWARE = new URL("../../bridge/esp8266/firmware/", import.meta.url).pathname;
const UNITS = new URL("units/", import.meta.url).pathname;

/** Returns the program's answer to each line. */
export type Ask = (gcc: string, lines: string[]) => Promise<string[]>;

/**
 * Call it once in a test file: the program is compiled, with checks for undefined behaviour, when a test first uses it,
 * and removed after the last test.
 *
 * @param name Of the program in `units/`.
 * @param parts Of the firmware.
 */
export function unitProgram(name: string, parts: string[]): Ask {
  let built: Promise<string> | undefined;
  const build = async (gcc: string) => {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-units-" });
    const flags = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"];
    const sources = [`${UNITS}${name}`, ...parts.map((part) => FIRMWARE + part)];
    const more = ["-fno-sanitize-recover=all", `-I${FIRMWARE}`, ...sources, "-o", "units"];
    await run(gcc, [...flags, ...more], folder);
    return folder;
  };
  Deno.test.afterAll(async () => {
    if (built) await Deno.remove(await built, { recursive: true });
  });
  return async (gcc, lines) => {
    const folder = await (built ??= build(gcc));
    await Deno.writeTextFile(`${folder}/lines`, lines.map((line) => `${line}\n`).join(""));
    const child = new Deno.Command("sh", { args: ["-c", "./units < lines"], cwd: folder });
    const { success, stdout, stderr } = await child.output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).split("\n").slice(0, -1);
  };
}
