/**
 * A release for the emulator, built by the command line as its user would.
 *
 * @module
 */
const ROOT = new URL("../../", import.meta.url);

/** Programs for building it, besides those for a chip. */
export const RELEASE_TOOLS = { wasm2c: "wabt" } as const;

/** Runs the builder's command line, in the project's folder by default. */
export async function buildFirmware(
  args: string[],
  cwd: string | URL = ROOT,
): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("bridge/esp8266/build.ts", ROOT).pathname, ...args],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** The files below a folder, by their paths in it. */
export function filesBelow(folder: string): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const walk = (below: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${below}`)) {
      if (isDirectory) walk(`${below}${name}/`);
      else files.set(below + name, Deno.readFileSync(`${folder}/${below}${name}`));
    }
  };
  walk("");
  return new Map([...files].sort(([a], [b]) => a < b ? -1 : 1));
}
