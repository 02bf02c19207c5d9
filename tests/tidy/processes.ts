/**
 * What belongs to the whole process, in which files of tests run in parallel.
 *
 * @module
 */
import { withoutComments } from "./text.ts";
import type { Tree } from "./tree.ts";

const CHANGE = /\bDeno\.(chdir|umask|env\.(set|delete))\(/g;

/** Changes of the current folder or the environment in tests that share their process with others. */
export function processChanges(tree: Tree): string[] {
  return [...tree].filter(([path]) => path.endsWith("_test.ts")).flatMap(([path, source]) => {
    const code = withoutComments(source);
    return [...code.matchAll(CHANGE)].flatMap(({ 0: call, index }) => {
      const before = code.slice(0, index);
      const statement = before.split(/^(?=\w)/m).at(-1)!; // from the last line that is not indented
      if (statement.includes("inOwnProcess(")) return [];
      return [`${path}:${before.split("\n").length}: ${call.slice(0, -1)}`];
    });
  });
}
