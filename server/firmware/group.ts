/** Which devices match a pattern, and in which order a group gets an application. */
import { compareNames } from "../protocol/name_order.ts";

/** The order of a group, independent of who connected first. */
export function inOrder(ids: Iterable<string>): string[] {
  return [...ids].sort(compareNames);
}

/** The ids that a pattern with `*` and `?` matches, or a single id. */
export function matching(pattern: string, ids: readonly string[]): string[] {
  if (ids.includes(pattern)) return [pattern];
  const source = Array.from(pattern, (character) => {
    if (character === "*") return ".*";
    return character === "?" ? "." : RegExp.escape(character);
  }).join("");
  const expression = new RegExp(`^${source}$`, "su");
  return ids.filter((id) => expression.test(id));
}
