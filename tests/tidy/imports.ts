/**
 * Which modules import which.
 *
 * @module
 */
import { withoutComments } from "./text.ts";
import { joined, type Tree } from "./tree.ts";

/** An import of one module by another. */
export interface Import {
  /** Paths from the root. */
  from: string;
  to: string;
  /** A type import, which loads nothing. */
  typeOnly: boolean;
}

/** `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`. */
const STATEMENTS =
  /\b(import|export)\b(\s+type\b(?!\s+from\b))?[^"';()]*?\bfrom\s*["']([^"'\n]+)["']/g;
const BARE = /\bimport\s*\(?\s*["']([^"'\n]+)["']/g;

/** All imports of all modules. Packages are left out; `names` says which of them are files of ours. */
export function importsOf(tree: Tree, names: Record<string, string> = {}): Import[] {
  const found: Import[] = [];
  for (const [from, text] of tree) {
    if (!from.endsWith(".ts")) continue;
    const code = withoutComments(text);
    const add = (name: string, typeOnly: boolean) => {
      const to = resolved(tree, from, name, names);
      if (to !== undefined) found.push({ from, to, typeOnly });
    };
    for (const [, , type, name] of code.matchAll(STATEMENTS)) add(name!, type !== undefined);
    for (const [, name] of code.matchAll(BARE)) add(name!, false);
  }
  return found;
}

function resolved(
  tree: Tree,
  from: string,
  name: string,
  names: Record<string, string>,
): string | undefined {
  if (names[name]?.startsWith("./")) return names[name].slice(2);
  if (!name.startsWith(".")) return undefined;
  const path = joined(from, name);
  // AssemblyScript leaves the ending out.
  return !tree.has(path) && tree.has(`${path}.ts`) ? `${path}.ts` : path;
}
