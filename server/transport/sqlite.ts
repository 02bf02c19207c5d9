import process from "node:process";
import { LocalError } from "../protocol/errors.ts";

/**
 * The SQLite of Deno and Node. Loaded when a store is opened, so that a Node without it, or one whose SQLite lacks
 * authorizers (before 24.10), can do everything else.
 *
 * @param what The file that needs it, for the error: `the store "a.db"`
 * @throws {LocalError} STORE_UNUSABLE if this Node's is missing or too old
 */
export function sqlite(
  what: string,
  load: (name: "node:sqlite") => typeof import("node:sqlite") | undefined = builtin,
): typeof import("node:sqlite") {
  const found = load("node:sqlite");
  if (found && "setAuthorizer" in found.DatabaseSync.prototype) return found;
  throw new LocalError(
    "STORE_UNUSABLE",
    `${what} cannot be opened: SQLite needs Node 24.10 or later, but this is ${process.versions.node}. ` +
      "Update Node, or use Deno; a server can have a store in PostgreSQL or in memory instead",
  );
}

/** A Node before 20.16 lacks this function, and has no SQLite. */
function builtin(name: "node:sqlite"): typeof import("node:sqlite") | undefined {
  return process.getBuiltinModule?.(name);
}
