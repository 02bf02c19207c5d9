/** Topic filters as sets of topics: whether one covers another, and which have topics in common. */

/** Longest topic or filter of a device, in UTF-16 units. */
const LONGEST = 256;

/** What is wrong with a topic that a device names; undefined: nothing. */
export function wrongTopic(topic: string): string | undefined {
  return /[+#]/.test(topic) ? "a topic must not have + or #" : wrongFilter(topic);
}

/** What is wrong with a topic filter; undefined: nothing. */
export function wrongFilter(filter: string): string | undefined {
  if (filter === "" || filter.length > LONGEST) return `it must have 1 to ${LONGEST} characters`;
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f-\x9f]/.test(filter) || !filter.isWellFormed()) {
    return "it must not have control characters";
  }
  if (filter.startsWith("$")) return "it must not start with $";
  const levels = filter.split("/");
  if (levels.some((level) => level.length > 1 && /[+#]/.test(level))) {
    return "+ and # must stand for whole levels";
  }
  return levels.slice(0, -1).includes("#") ? "# must be the last level" : undefined;
}

/** Whether a pattern matches all topics that a filter matches. */
export function covers(pattern: string, filter: string): boolean {
  const [wide, narrow] = [pattern.split("/"), filter.split("/")];
  for (const [i, level] of wide.entries()) {
    if (level === "#") return true;
    const other = narrow[i];
    if (other === undefined || other === "#") return false;
    if (level !== "+" && level !== other) return false;
  }
  // a/# matches a, too.
  return narrow.length === wide.length;
}

interface Node {
  readonly below: Map<string, Node>;
  /** The filter that ends here. */
  filter?: string | undefined;
}

/** A set of filters that finds those that match a topic, or have a topic in common with another filter. */
export class Filters {
  readonly #root: Node = { below: new Map() };

  add(filter: string): void {
    let node = this.#root;
    for (const level of filter.split("/")) {
      let next = node.below.get(level);
      if (!next) node.below.set(level, next = { below: new Map() });
      node = next;
    }
    node.filter = filter;
  }

  delete(filter: string): void {
    const levels = filter.split("/");
    const path = [this.#root];
    for (const level of levels) {
      const next = path.at(-1)!.below.get(level);
      if (!next) return;
      path.push(next);
    }
    path.at(-1)!.filter = undefined;
    for (let i = levels.length; i > 0; i--) {
      const { filter, below } = path[i]!;
      if (filter !== undefined || below.size > 0) return;
      path[i - 1]!.below.delete(levels[i - 1]!);
    }
  }

  /** The filters that have a topic in common with this one; for a topic, those that match it. */
  meeting(filter: string): Generator<string> {
    return meeting(this.#root, filter.split("/"), 0);
  }
}

function* meeting(
  { filter, below }: Node,
  levels: readonly string[],
  at: number,
): Generator<string> {
  const level = levels[at];
  if (level === "#") return yield* all({ filter, below });
  const rest = below.get("#");
  if (rest?.filter !== undefined) yield rest.filter;
  if (level === undefined) {
    if (filter !== undefined) yield filter;
    return;
  }
  if (level === "+") {
    for (const [other, next] of below) if (other !== "#") yield* meeting(next, levels, at + 1);
    return;
  }
  for (const other of [level, "+"]) {
    const next = below.get(other);
    if (next) yield* meeting(next, levels, at + 1);
  }
}

function* all({ filter, below }: Node): Generator<string> {
  if (filter !== undefined) yield filter;
  for (const next of below.values()) yield* all(next);
}
