/**
 * What it costs that devices prove their keys (suite 02), and that all they say is sealed (suite 03), beside links
 * without keys (suite 00).
 *
 * @module
 */
import { formatDeviceKey } from "../../server/protocol/proof.ts";
import type { Proof } from "./load.ts";
import { Contestant, type Loader } from "./processes.ts";
import { median, type Section } from "./report.ts";
import { idsOf, inTurns, turn } from "./turn.ts";

const LOADS = [
  { connections: 1, window: 1 },
  { connections: 100, window: 1 },
  { connections: 100, window: 16 },
];

/** The load whose rate has an aim, and the least that sealed links are to reach to those of suite 02. */
const FULL = LOADS[2]!;
const AIM = 0.7;

const TURN = { warmUpMs: 50, ms: 500 };

/** All devices'. */
export const KEY = "5ea1".repeat(16);

/** The same server three times, with keys of different suites. */
export async function measureSuites(loader: Loader, rounds: number): Promise<Section> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const servers: [string, Contestant, Proof?][] = [
    ["00", stack.use(await Contestant.holdfast())],
  ];
  for (const suite of ["02", "03"] as const) {
    const path = `${folder}/keys-${suite}.json`;
    await Deno.writeTextFile(path, keyFile(suite), { mode: 0o600 });
    const server = stack.use(await Contestant.holdfast(["--keys", path]));
    servers.push([suite, server, { suite, key: KEY }]);
  }

  const section: Section = { title: "Links of each suite", columns, rows: [], aims: [] };
  for (const load of LOADS) {
    const turns = await inTurns(
      `${load.connections} × ${load.window} in each suite`,
      rounds,
      servers.map(([suite, server, proof]) => [
        suite,
        () => turn(server, loader, load, { ...TURN, dialect: 2, ...proof && { proof } }),
      ]),
    );
    const proven = turns.get("02")!;
    for (const [suite, own] of turns) {
      section.rows.push({
        suite,
        load: `${load.connections} × ${load.window}`,
        rate: median(own.map(({ rate }) => rate)),
        toProven: median(own.map(({ rate }, round) => rate / proven[round]!.rate)),
        p50: median(own.map(({ p50 }) => p50)),
        p99: median(own.map(({ p99 }) => p99)),
        cpu: median(own.map(({ cpu }) => cpu ?? NaN)),
      });
    }
    if (load !== FULL) continue;
    const ratio = Number(section.rows.at(-1)!["toProven"]);
    section.aims.push({
      what: `throughput of sealed links, ${load.connections} × ${load.window}, to suite 02`,
      aim: `${AIM} ×`,
      measured: `${ratio.toFixed(2)} ×`,
      met: ratio >= AIM,
    });
  }
  return section;
}

const columns = [
  { key: "load", title: "connections × in flight" },
  { key: "suite", title: "suite" },
  { key: "rate", title: "messages/s" },
  { key: "toProven", title: "to 02", digits: 2 },
  { key: "p50", title: "p50 µs" },
  { key: "p99", title: "p99 µs" },
  { key: "cpu", title: "server's CPU, µs/message", digits: 2 },
];

/** What a server's file of keys says for all of them. */
export function keyFile(suite: Proof["suite"]): string {
  const key = formatDeviceKey({
    bytes: Uint8Array.fromHex(KEY),
    suite: suite === "02" ? 2 : 3,
  });
  const most = Math.max(...LOADS.map(({ connections }) => connections));
  return JSON.stringify(Object.fromEntries(idsOf(most).map((id) => [id, key])));
}
