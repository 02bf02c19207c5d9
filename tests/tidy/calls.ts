/**
 * Dependencies between C files: by the functions and variables that one defines and another uses, and by includes.
 *
 * @module
 */
import { circles, type Graph, graphOf } from "./graph.ts";
import { cWithoutComments } from "./text.ts";
import { folderOf, joined, nameOf, type Tree } from "./tree.ts";

/** Folders whose C files are linked into one program, or a part of one. */
export function cFolders(tree: Tree): string[] {
  const folders = new Set<string>();
  for (const path of tree.keys()) if (path.endsWith(".c")) folders.add(folderOf(path));
  return [...folders].sort();
}

/** Attributes, which are not names, and the firmware's macro for one of them (words.h). */
const ATTRIBUTE = /__attribute__\s*\(\(.*?\)\)|\bIN_WORDS\b/g;

/** Names that a C file defines for others: functions and variables that are not static. */
export function definitions(source: string): string[] {
  const code = cWithoutComments(source).replace(ATTRIBUTE, " ");
  const names: string[] = [];
  let depth = 0;
  let start = 0;
  const end = (at: number, next: string) => {
    const declared = code.slice(start, at).trim();
    if (/^(static|extern|typedef)\b/.test(declared) || /\bstatic\b/.test(declared.split("(")[0]!)) {
      return;
    }
    const [, called] = declared.match(/^[^=]*?(\w+)\s*\(/) ?? [];
    if (called !== undefined) {
      if (next === "{") names.push(called);
      return; // a declaration
    }
    if (next === "{" && !declared.includes("=")) return; // a struct, an enum
    const [, variable] = declared.match(/^\w[\w\s*]*?\b(\w+)\s*(?:\[[^=]*\]\s*)*(?:=|$)/) ?? [];
    if (variable !== undefined && /\s/.test(declared.split("=")[0]!.trim())) names.push(variable);
  };
  for (let at = 0; at < code.length; at++) {
    const c = code[at]!;
    if (depth === 0 && (c === "{" || c === ";")) {
      if (start <= at) end(at, c);
      start = at + 1;
    }
    if (c === "{") depth++;
    if (c === "}" && --depth === 0) {
      start = at + 1;
      // What follows an initializer's end belongs to it, up to its semicolon.
      if (/^\s*;/.test(code.slice(at + 1))) start = at + 2 + code.slice(at + 1).indexOf(";");
    }
  }
  return names;
}

/** The files of one folder, and the files whose functions and variables each of them uses. */
export function uses(tree: Tree, folder: string): Graph {
  const files = [...tree].filter(([path]) => path.endsWith(".c") && folderOf(path) === folder);
  const homes = new Map<string, string>();
  for (const [path, text] of files) {
    for (const name of definitions(text)) homes.set(name, nameOf(path));
  }
  return graphOf(files.flatMap(([path, text]) => {
    const own = new Set(definitions(text));
    const words = new Set(cWithoutComments(text).match(/\b[A-Za-z_]\w*\b/g) ?? []);
    return [...words].filter((word) => homes.has(word) && !own.has(word))
      .map((word) => [nameOf(path), homes.get(word)!] as const);
  }));
}

/** No C file depends on itself through others of its folder. */
export function callCircles(tree: Tree, folder: string): string[] {
  return circles(uses(tree, folder))
    .map((circle) => `${folder}: ${[...circle, circle[0]].join(" -> ")}`);
}

/** No C file includes itself through others. */
export function includeCircles(tree: Tree): string[] {
  const pairs = [...tree].flatMap(([path, text]) =>
    /\.[ch]$/.test(path)
      ? [...text.matchAll(/^\s*#include "([^"]+)"/gm)]
        .map(([, name]) => [path, joined(path, name!)] as const)
      : []
  );
  return circles(graphOf(pairs)).map((circle) => [...circle, circle[0]].join(" -> "));
}
