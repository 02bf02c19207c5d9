/** A fresh clone of the sources, with nothing built or installed. */

const ROOT = new URL("../../", import.meta.url).pathname;

/** Folders that are built, not cloned. */
const MADE = ["build", "node_modules", "screenshots"];

/** Copies files and folders of the project into an empty folder. */
export async function clone(folder: string, names: string[]): Promise<void> {
  for (const name of names) await copy(`${ROOT}${name}`, `${folder}/${name}`);
}

async function copy(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory && MADE.includes(name)) continue;
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}
