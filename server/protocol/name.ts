/** Names of devices: what a server takes, and what somebody may give a device. */
import { byteLength } from "./lines.ts";

/** Longest name that may be given to a device, in bytes. Servers take longer ones. */
export const NAME_BYTES = 64;

// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f]/;

/** Terminals act upon them as well; but there may be devices that say them. */
const MORE_CONTROLS = /[\x80-\x9f]/;

/** What is wrong with a name that a device says; undefined: nothing. */
export function wrongOnWire(name: string): string | undefined {
  if (name === "") return "a name must have at least one character";
  if (CONTROLS.test(name)) return "a name must not have control characters";
  return undefined;
}

/** What is wrong with a name that somebody gives a device: every end can hold it; undefined: nothing. */
export function wrongName(name: string): string | undefined {
  const wrong = wrongOnWire(name);
  if (wrong !== undefined) return wrong;
  if (MORE_CONTROLS.test(name)) {
    return "a name must not have control characters (U+0080 to U+009F are some)";
  }
  if (!name.isWellFormed()) return "a name must be well-formed Unicode (lone surrogate)";
  const bytes = byteLength(name);
  return bytes > NAME_BYTES ? `a name may have ${NAME_BYTES} bytes, not ${bytes}` : undefined;
}
