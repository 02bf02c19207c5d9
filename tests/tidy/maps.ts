/**
 * Whether one finds one's way: every folder on a map, every link leading somewhere, every long file with its reason,
 * every number of the core's in one place.
 *
 * @module
 */
import { withoutComments } from "./text.ts";
import { folderOf, joined, nameOf, type Tree } from "./tree.ts";

const CODE = /\.(ts|js|c|h|S|py)$/;

/** Folders with code that neither their own README nor one above them names. */
export function unmapped(tree: Tree): string[] {
  const folders = new Set<string>();
  for (const path of tree.keys()) {
    if (CODE.test(path) && folderOf(path) !== "") folders.add(folderOf(path));
  }
  return [...folders].filter((folder) => {
    if (tree.has(`${folder}/README.md`)) return false;
    for (let above = folderOf(folder);; above = folderOf(above)) {
      const map = tree.get(above === "" ? "README.md" : `${above}/README.md`);
      if (map !== undefined && names(map, folder.slice(above === "" ? 0 : above.length + 1))) {
        return false;
      }
      if (above === "") return true;
    }
  }).sort();
}

/** Whether a text has a path as a word of its own, such as `a/b` or [a/b/](a/b). */
function names(map: string, path: string): boolean {
  return map.split(/[^\w./-]+/).some((word) => word.replace(/\/$/, "") === path);
}

/** Links in Markdown to files and folders that are not there. */
export function deadLinks(tree: Tree): string[] {
  const folders = new Set<string>();
  for (const path of tree.keys()) {
    for (let at = folderOf(path); at !== ""; at = folderOf(at)) folders.add(at);
  }
  return [...tree].filter(([path]) => path.endsWith(".md")).flatMap(([path, text]) => {
    const prose = text.replace(/^```[^]*?^```/gm, "").replace(/^ {4}.*$/gm, "");
    return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
      .filter((link) => !/^([a-z]+:|#)/.test(link))
      .filter((link) => {
        const to = joined(path, link.replace(/#.*$/, ""));
        return to !== "" && !tree.has(to) && !folders.has(to);
      })
      .map((link) => `${path}: ${link}`);
  }).sort();
}

/** Lines that a file of code may have without a word about it. */
export const MOST_LINES = 450;

/** Files of code that are longer, and do not say why at their head: `Long because …`. */
export function tooLong(tree: Tree, most = MOST_LINES): string[] {
  return [...tree].flatMap(([path, text]) => {
    if (!CODE.test(path)) return [];
    const lines = text.split("\n");
    if (lines.at(-1) === "") lines.pop();
    const head = lines.slice(0, 60).join("\n");
    if (lines.length <= most || /^[ \t/*#]*Long because \S+ \S/m.test(head)) return [];
    return [`${path}: ${lines.length} lines`];
  }).sort();
}

/** Constants that are a register of the core's by name and value, and stand outside of the file that defines it. */
export function registersAgain(
  tree: Tree,
  definition = "client-as/assembly/registers.ts",
): string[] {
  const constants = (text: string) =>
    [...withoutComments(text).matchAll(/^[ \t]*(?:export )?const (\w+)(?:: \w+)? = (-?\d+);/gm)]
      .map(([, name, value]) => `${name} = ${value}`);
  // One digit could be anybody's.
  const registers = new Set(
    constants(tree.get(definition) ?? "").filter((constant) => /\d\d$/.test(constant)),
  );
  return [...tree].filter(([path]) => path.endsWith(".ts") && path !== definition).flatMap(
    ([path, text]) =>
      constants(text).filter((constant) => registers.has(constant))
        .map((constant) => `${path}: ${constant}, as in ${nameOf(definition)}`),
  ).sort();
}
