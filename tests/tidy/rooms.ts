/**
 * Which folders may import which: their order, as in DESIGN.
 *
 * @module
 */
import { circles, graphOf } from "./graph.ts";
import type { Import } from "./imports.ts";
import { isTest, within } from "./tree.ts";

/** The server's folders and files, from the top down. */
export const SERVER_ROOMS: readonly string[] = [
  "main.ts",
  "mod.ts",
  "server.ts",
  "workings.ts",
  "server_options.ts",
  "device.ts",
  "device_view.ts",
  "cli",
  "web",
  "apps",
  "channels",
  "firmware",
  "observe",
  "runtime",
  "store",
  "admission",
  "link",
  "transport",
  "protocol",
];

/** An allowed upward import, with its reason. */
export interface Exception {
  from: RegExp;
  to: RegExp;
  why: string;
}

/** Allowed upward imports. Type imports are always allowed, because they load nothing. */
const UPWARDS: readonly Exception[] = [{
  from: /^server\/apps\/[^/]+\.ts$/,
  to: /^server\/mod\.ts$/,
  why: "an application uses the public face, as a user's would",
}];

/** The server's imports must point down the list. */
export function serverOrder(imports: readonly Import[]): string[] {
  const faults: string[] = [];
  const unknown = new Set<string>();
  for (const { from, to, typeOnly } of imports) {
    if (!within(from, "server") || !within(to, "server") || isTest(from) || isTest(to)) continue;
    const [upper, lower] = [from, to].map((path) => {
      const room = path.split("/")[1]!;
      if (!SERVER_ROOMS.includes(room)) unknown.add(`server/${room}`);
      return SERVER_ROOMS.indexOf(room);
    });
    if (typeOnly || lower! >= upper!) continue;
    if (UPWARDS.some((allowed) => allowed.from.test(from) && allowed.to.test(to))) continue;
    faults.push(`${from} imports ${to}, which is above it`);
  }
  for (const room of unknown) faults.push(`${room} has no place in this order`);
  return faults.sort();
}

/** The parts of the server that the bridge may use. */
const PUBLIC = ["server/mod.ts", "server/protocol", "server/transport", "server/web/parts"];

/** The bridge uses the server's public face; the server knows nothing of the bridge. */
export function bridgeAndServer(imports: readonly Import[]): string[] {
  return imports.filter(({ from }) => !isTest(from)).flatMap(({ from, to }) => {
    if (within(from, "bridge") && within(to, "server")) {
      return PUBLIC.some((place) => within(to, place)) ? [] : [`${from} imports ${to}`];
    }
    const outward = within(from, "server") && !within(to, "server") && !within(to, "tests");
    return outward && from !== "server/main.ts" ? [`${from} imports ${to}`] : [];
  }).sort();
}

/** The formats are used by all folders of the bridge, so they use none. */
export function formatsAlone(imports: readonly Import[]): string[] {
  return imports.filter(({ from, to }) =>
    within(from, "bridge/formats") && !isTest(from) && within(to, "bridge") &&
    !within(to, "bridge/formats")
  ).map(({ from, to }) => `${from} imports ${to}`).sort();
}

/** The core and its applications are compiled from client-as alone, apart from applications elsewhere. */
export function coreAlone(imports: readonly Import[]): string[] {
  return imports.filter(({ from, to }) =>
    within(from, "client-as") && !isTest(from) && !within(to, "client-as")
  ).map(({ from, to }) => `${from} imports ${to}`).sort();
}

/** Test support is imported by tests only; tests are not imported at all. */
export function testsApart(imports: readonly Import[]): string[] {
  return imports.flatMap(({ from, to }) => {
    if (/_test\.ts$/.test(to)) return [`${from} imports ${to}, which is a test`];
    return isTest(to) && !isTest(from) ? [`${from} imports ${to}`] : [];
  }).sort();
}

/** Modules that may import each other, with the reason. */
export interface Knot {
  files: readonly string[];
  why: string;
}

/** No module imports itself through others, not even for a type. */
export function importCircles(imports: readonly Import[], allowed: readonly Knot[] = []): string[] {
  const graph = graphOf(imports.map(({ from, to }) => [from, to] as const));
  return circles(graph)
    .filter((circle) => !allowed.some(({ files }) => circle.every((file) => files.includes(file))))
    .map((circle) => [...circle, circle[0]].join(" -> "));
}
