/**
 * A thousand devices that connect at once, and their memory when they are idle.
 *
 * @module
 */
import { Contestant, type Loader } from "./processes.ts";
import { median, progress, type Section } from "./report.ts";

const CONNECTIONS = 1000;

const AIM_MS = 1000;

/** Idle time before memory is read, in ms. */
const SETTLE_MS = 1500;

/** Opens connections on fresh servers in turn. */
export async function measureAccept(loader: Loader, rounds: number): Promise<Section> {
  const rows = [];
  const found: Record<string, Awaited<ReturnType<typeof turn>>[]> = { bare: [], holdfast: [] };
  for (let round = 0; round < rounds; round++) {
    progress(`${CONNECTIONS} connections, round ${round + 1} of ${rounds}`);
    for (const start of [() => Contestant.bare(), () => Contestant.holdfast()]) {
      await using contestant = await start();
      found[contestant.name]!.push(await turn(contestant, loader));
    }
  }
  for (const [server, turns] of Object.entries(found)) {
    rows.push({
      server,
      first: median(turns.map(({ first }) => first.ms)),
      worst: Math.max(...turns.map(({ first }) => first.ms)),
      firstMemory: median(turns.map(({ first }) => first.memory)),
      nextMemory: median(turns.map(({ next }) => next.memory)),
    });
  }
  const ms = rows.find(({ server }) => server === "holdfast")!.first;
  return {
    title: `${CONNECTIONS} devices that connect at once`,
    columns: [
      { key: "server", title: "server" },
      { key: "first", title: "all greeted after, ms" },
      { key: "worst", title: "worst, ms" },
      { key: "firstMemory", title: "memory of each, KB", digits: 1 },
      { key: "nextMemory", title: "of each of the next 1,000, KB", digits: 1 },
    ],
    rows,
    aims: [{
      what: `accepting ${CONNECTIONS} connections`,
      aim: `under ${AIM_MS} ms`,
      measured: `${Math.round(ms)} ms`,
      met: ms < AIM_MS,
    }],
  };
}

async function turn(contestant: Contestant, loader: Loader) {
  // One that connects and leaves first: what starts with the first connection is not counted.
  await loader.open(contestant.port, ["early"]);
  await loader.close();
  const first = await open(contestant, loader, "first");
  const next = await open(contestant, loader, "next");
  await loader.close();
  return { first, next };
}

async function open(contestant: Contestant, loader: Loader, prefix: string) {
  const before = await contestant.usage();
  const ids = Array.from({ length: CONNECTIONS }, (_, i) => `${prefix}-${i}`);
  const { ms } = await loader.open(contestant.port, ids);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const after = await contestant.usage();
  const memory = before && after ? (after.memory - before.memory) / 1024 / CONNECTIONS : NaN;
  return { ms, memory };
}
