/**
 * Graphs of dependencies.
 *
 * @module
 */

/** For each name, the names that it depends on. */
export type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** A graph from pairs, without dependencies of a name on itself. */
export function graphOf(pairs: Iterable<readonly [from: string, to: string]>): Graph {
  const graph = new Map<string, Set<string>>();
  for (const [from, to] of pairs) {
    if (from === to) continue;
    if (!graph.has(from)) graph.set(from, new Set());
    graph.get(from)!.add(to);
  }
  return graph;
}

/** One cycle for each set of names that depend on each other: the shortest through its first name. */
export function circles(graph: Graph): string[][] {
  const found: string[][] = [];
  const inKnot = new Set<string>();
  for (const name of [...graph.keys()].sort()) {
    if (inKnot.has(name)) continue;
    const circle = shortestCircle(graph, name);
    if (!circle) continue;
    const reached = reachable(graph, name);
    for (const other of reached) if (reachable(graph, other).has(name)) inKnot.add(other);
    found.push(circle);
  }
  return found;
}

function reachable(graph: Graph, from: string): Set<string> {
  const seen = new Set<string>();
  const waiting = [from];
  for (let name; (name = waiting.pop()) !== undefined;) {
    for (const next of graph.get(name) ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
  return seen;
}

/** The shortest path from a name back to itself. */
function shortestCircle(graph: Graph, name: string): string[] | undefined {
  const before = new Map<string, string>();
  let edge = [name];
  while (edge.length > 0) {
    const next: string[] = [];
    for (const from of edge) {
      for (const to of graph.get(from) ?? []) {
        if (to === name) {
          const circle = [from];
          while (circle[0] !== name) circle.unshift(before.get(circle[0]!)!);
          return circle;
        }
        if (before.has(to)) continue;
        before.set(to, from);
        next.push(to);
      }
    }
    edge = next;
  }
  return undefined;
}
