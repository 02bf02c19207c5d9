/** Compiles the firmware's portable C for this machine, with the sanitizers. */

const ROOT = new URL("../../../", import.meta.url).pathname;

/** The folder of the firmware's sources. */
export const FIRMWARE = `${ROOT}bridge/esp8266/firmware`;
/** This folder. */
export const HERE = `${ROOT}tests/firmware/fuzz`;

/** A warning is an error here, and undefined behaviour ends the program. */
const FLAGS = ["-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all"];

/** C99, unless a source is C++ or the flags say otherwise. @throws {Error} with the compiler's message */
export async function compileC(
  compiler: string,
  sources: string[],
  output: string,
  flags: string[],
): Promise<void> {
  const standard = sources.some((source) => source.endsWith(".cpp")) ? [] : ["-std=c99"];
  const { success, stderr } = await new Deno.Command(compiler, {
    args: [...standard, ...FLAGS, ...flags, `-I${FIRMWARE}`, "-o", output, ...sources],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Sends lines to a program, and returns its output lines. @throws {Error} if the program fails */
export async function ask(program: string, questions: string[]): Promise<string[]> {
  const child = new Deno.Command(program, {
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(questions.map((line) => `${line}\n`).join("")));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // it failed, and says why below
  }
  const { success, stdout, stderr } = await output;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).split("\n").slice(0, -1);
}
