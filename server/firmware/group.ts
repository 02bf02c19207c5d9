/** Which devices are meant by a pattern, and in which order a group is given an application. */
import { compareNames } from "../protocol/name_order.ts";

/** The order of a group, whoever connected first. */
export function inOrder(ids: Iterable<string>): string[] {
  return [...ids].sort(compareNames);
}

/** Ids that are meant: one, or those that match a pattern with `*` and `?`. */
export function matching(pattern: string, ids: readonly string[]): string[] {
  if (ids.includes(pattern)) return [pattern];
  const source = Array.from(pattern, (character) => {
    if (character === "*") return ".*";
    return character === "?" ? "." : RegExp.escape(character);
  }).join("");
  const expression = new RegExp(`^${source}$`, "su");
  return ids.filter((id) => expression.test(id));
}
