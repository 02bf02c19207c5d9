/**
 * Changes to the interpreter's sources, made on their way into a build.
 *
 * @module
 */
import { BuildError } from "./errors.ts";

/** In a file, each `from` stands exactly so many times (once, unless told), and becomes `to`. */
interface Patch {
  file: string;
  from: string;
  to: string;
  times?: number;
}

const PATCHES: Patch[] = [];

/** The changed sources. @throws {BuildError} if a place is not as it was when the change was written */
export function patchWasm3(sources: Map<string, string>): Map<string, string> {
  const changed = new Map(sources);
  for (const { file, from, to, times = 1 } of PATCHES) {
    const parts = changed.get(file)?.split(from) ?? [];
    if (parts.length !== times + 1) {
      throw new BuildError(`wasm3: ${file} has ${parts.length - 1} times, not ${times}:\n${from}`);
    }
    changed.set(file, parts.join(to));
  }
  return changed;
}
