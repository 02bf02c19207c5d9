/** Names of devices: those that a server accepts, and those that a user may give. */
import { byteLength } from "./lines.ts";

/** Longest name that a user may give to a device, in bytes. Servers accept longer ones. */
export const NAME_BYTES = 64;

// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f]/;

/** Terminals act on these as well; but existing devices may send them. */
const MORE_CONTROLS = /[\x80-\x9f]/;

/** What is wrong with a name that a device sends; undefined: nothing. */
export function wrongOnWire(name: string): string | undefined {
  if (name === "") return "a name must have at least one character";
  if (CONTROLS.test(name)) return "a name must not have control characters";
  return undefined;
}

/**
 * What is wrong with a name that a user gives to a device, which every end must be able to hold; undefined: nothing.
 */
export function wrongName(name: string): string | undefined {
  const wrong = wrongOnWire(name);
  if (wrong !== undefined) return wrong;
  if (MORE_CONTROLS.test(name)) {
    return "a name must not have control characters (U+0080 to U+009F are also some)";
  }
  if (!name.isWellFormed()) return "a name must be well-formed Unicode (lone surrogate)";
  const bytes = byteLength(name);
  return bytes > NAME_BYTES
    ? `a name may have at most ${NAME_BYTES} bytes, not ${bytes}`
    : undefined;
}
