/**
 * `deno task new`: creates a project that uses this clone: an application for the server, one for the device, and a
 * test of both.
 *
 * @module
 */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { folderTask } from "../folder_task.ts";

const HELP = `deno task new DIR

Creates a project in DIR, which must be empty or not exist yet: a server's application, a device's in
AssemblyScript, and a test that runs both in a simulated world, through outages and kills. It refers to this
clone by its path, so move neither of them. In DIR:

  deno task test     compiles the device's application, and runs the test
  deno task server   the server, for boards
  deno task build    device.wasm alone

  --help   this text

Exit codes: 0 created, 1 DIR is not empty or cannot be written, 2 wrong options.`;

const CLONE = fileURLToPath(new URL("../../", import.meta.url)).replace(/[\\/]$/, "");
const FILES = new URL("files/", import.meta.url);

/** Creates the project's files. @returns what to do next. @throws {Error} it is not an empty folder, or cannot be written */
async function begin(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  for await (const { name } of Deno.readDir(folder)) {
    throw new Error(`${folder} is not empty (it has ${name}): choose a new folder`);
  }
  const place = relative(await Deno.realPath(folder), CLONE).replaceAll("\\", "/");
  for await (const { name } of Deno.readDir(FILES)) {
    const text = await Deno.readTextFile(new URL(name, FILES));
    await Deno.writeTextFile(`${folder}/${name}`, text.replaceAll("CLONE", place));
  }
  await Deno.writeTextFile(`${folder}/deno.json`, await config(place));
  await Deno.writeTextFile(`${folder}/.gitignore`, "device.wasm\nroom.db*\n");
  return `begun in ${folder}: run \`deno task test\` there`;
}

/** @param place Path of the clone, from the project. */
async function config(place: string): Promise<string> {
  const { name, version } = JSON.parse(await Deno.readTextFile(`${CLONE}/deno.json`));
  const project = {
    links: [place],
    imports: { [name]: `jsr:${name}@${version}` },
    tasks: {
      server: "deno run -A server.ts",
      build: `deno run -A --config ${place}/deno.json ${place}/client-as/build.ts device.ts`,
      test: { command: "deno test -A", dependencies: ["build"] },
    },
    exclude: ["device.ts"], // AssemblyScript, not TypeScript
  };
  return `${JSON.stringify(project, undefined, 2)}\n`;
}

if (import.meta.main) {
  Deno.exitCode = await folderTask({ name: "new", help: HELP, run: begin }, Deno.args);
}
