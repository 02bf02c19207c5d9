/**
 * A tree of files for the rules to check: the project's own, or a made-up one.
 *
 * @module
 */

/** Texts by their paths from the root, with "/" between folders. Binary files have an empty text. */
export type Tree = ReadonlyMap<string, string>;

/** Installed, built or left-over folders anywhere, which are not part of the project. */
const NOT_OURS = [".git", "node_modules", "build", "coverage", "screenshots", "__pycache__"];
/** Files whose contents no rule checks. */
const NO_TEXT = /\.(svg|png|ico|wasm|db|db-shm|db-wal|state)$|(^|\/)deno\.lock$/;

/** All files below a folder. */
export function readTree(root: URL): Tree {
  const tree = new Map<string, string>();
  const walk = (folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, root))) {
      if (NOT_OURS.includes(name)) continue;
      const path = folder + name;
      if (isDirectory) walk(`${path}/`);
      else tree.set(path, NO_TEXT.test(path) ? "" : Deno.readTextFileSync(new URL(path, root)));
    }
  };
  walk("");
  return tree;
}

/** A made-up tree. */
export function treeOf(files: Record<string, string>): Tree {
  return new Map(Object.entries(files));
}

/** The folder of a file or folder; "" is the root. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Resolves a relative path from a file: `a/b.ts` and `../c.ts` give `c.ts`. */
export function joined(from: string, relative: string): string {
  const parts = folderOf(from).split("/").filter((part) => part !== "");
  for (const part of relative.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

/** Whether a path is this file, or is in this folder. */
export function within(path: string, place: string): boolean {
  return path === place || path.startsWith(place.endsWith("/") ? place : `${place}/`);
}

/** A test file: it may import test support, and nothing imports it. */
export function isTest(path: string): boolean {
  return within(path, "tests") || /_test\.ts$|\/__tests__\//.test(path);
}
