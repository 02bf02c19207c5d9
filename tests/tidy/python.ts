/**
 * What Python for boards may import, so that nothing else has to be installed.
 *
 * @module
 */
import { type Tree, within } from "./tree.ts";

/** Packages that are copied to boards, by their folders. */
const PACKAGES: readonly string[] = [
  "bridge/micropython/holdfast",
  "bridge/pyboard/micropython/holdfast_link",
];

/** Modules that MicroPython has on every board with a network, or that a file imports only if the board has them. */
const BUILT_IN: ReadonlySet<string> = new Set([
  ...[
    "asyncio",
    "binascii",
    "errno",
    "hashlib",
    "json",
    "os",
    "select",
    "socket",
    "struct",
    "sys",
    "time",
  ],
  ...["esp32", "machine", "micropython", "network", "pyb"],
]);

/** Files that are not for boards. */
const NOT_ON_BOARDS = /\/cpython\.py$/;

/** State machines without a socket, a clock or a timer, and everything that they import. */
const SANS_IO = /^bridge\/micropython\/holdfast\/(core|dialect1)\.py$/;
const COMPUTES: ReadonlySet<string> = new Set([
  "binascii",
  "hashlib",
  "micropython",
  "struct",
  ".core",
]);

/** Imports of a package for boards that a board does not have, or of a state machine that it must not have. */
export function pythonAlone(tree: Tree): string[] {
  return [...tree].flatMap(([path, text]) => {
    if (!path.endsWith(".py") || NOT_ON_BOARDS.test(path)) return [];
    if (!PACKAGES.some((folder) => within(path, folder))) return [];
    const code = text.replace(/"""[^]*?"""/g, "");
    return [...code.matchAll(/^[ ]*(?:import|from) +(\.*[\w.]*)/gm)].map(([, name]) => name!)
      .filter((name) =>
        SANS_IO.test(path) ? !COMPUTES.has(name) : !name.startsWith(".") && !BUILT_IN.has(name)
      )
      .map((name) => `${path} imports ${name}`);
  }).sort();
}
