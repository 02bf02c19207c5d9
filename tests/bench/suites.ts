/**
 * The cost of proving keys (suite 02), of sealing links (suite 03), and of ephemeral keys (suite 04), compared with
 * links without keys (suite 00).
 *
 * @module
 */
import type { KeyedSuite } from "../../server/protocol/greeting.ts";
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

/** The load whose rate has a budget, and the least rate of sealed links, relative to suite 02. */
const FULL = LOADS[2]!;
const AIM = 0.7;

const TURN = { warmUpMs: 50, ms: 500 };

/** The key of all devices. */
export const KEY = "5ea1".repeat(16);

/** Connections that greet at once, to see how much time one of them takes both ends together. */
const GREETINGS = 100;

/** The same server four times, with keys of different suites. */
export async function measureSuites(loader: Loader, rounds: number): Promise<Section> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const servers: [string, Contestant, Proof?][] = [
    ["00", stack.use(await Contestant.holdfast())],
  ];
  for (const suite of ["02", "03", "04"] as const) {
    const path = `${folder}/keys-${suite}.json`;
    await Deno.writeTextFile(path, keyFile(suite), { mode: 0o600 });
    const server = stack.use(await Contestant.holdfast(["--keys", path]));
    servers.push([suite, server, { suite, key: KEY }]);
  }

  const greeting = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [suite, { port }, proof] of servers) {
      const { ms } = await loader.open(port, idsOf(GREETINGS), 2, { ...proof && { proof } });
      await loader.close();
      greeting.set(suite, [...greeting.get(suite) ?? [], ms / GREETINGS]);
    }
  }

  const section: Section = { title: "Links of each suite", columns, rows: [], aims: [] };
  for (const load of LOADS) {
    const name = `${load.connections} × ${load.window}`;
    const turns = await inTurns(
      `${name} in each suite`,
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
        load: name,
        rate: median(own.map(({ rate }) => rate)),
        toProven: median(own.map(({ rate }, round) => rate / proven[round]!.rate)),
        p50: median(own.map(({ p50 }) => p50)),
        p99: median(own.map(({ p99 }) => p99)),
        cpu: median(own.map(({ cpu }) => cpu ?? NaN)),
        greeting: median(greeting.get(suite)!),
      });
    }
    if (load !== FULL) continue;
    const sealed = section.rows.find(({ suite, load: of }) => suite === "03" && of === name);
    const ratio = Number(sealed!["toProven"]);
    section.aims.push({
      what: `throughput of sealed links, ${name}, to suite 02`,
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
  { key: "greeting", title: "a greeting, ms", digits: 2 },
];

/** The content of a server's file of keys for all of them. */
export function keyFile(suite: Proof["suite"]): string {
  const key = formatDeviceKey({
    bytes: Uint8Array.fromHex(KEY),
    suite: Number(suite) as KeyedSuite,
  });
  const most = Math.max(...LOADS.map(({ connections }) => connections));
  return JSON.stringify(Object.fromEntries(idsOf(most).map((id) => [id, key])));
}
