/**
 * The processor time of a message on PostgreSQL, of the servers and of the database's processes. Other work on the
 * machine delays a message, but hardly changes its processor time.
 *
 * @module
 */
import type { Postgres } from "../support/postgres.ts";
import { Contestant, Loader } from "./processes.ts";
import { median, type Section } from "./report.ts";
import { inTurns, type Turn } from "./turn.ts";

/** One turn, in ms: longer than those in memory, as disks and garbage collectors come in bursts. */
export const TURN_MS = 1000;
export const WARM_UP_MS = 200;

/** Turns for processor time only, which is counted in ticks of 10 ms. */
const COSTS_MS = 4000;

/** How many devices the database knows, and how many of them write. */
const KNOWN = [10, 100, 1000, 10_000];
const WRITERS = 10;

/** A load, and the processor time of each of its messages, in µs. */
type Costs = Pick<Turn, "rate" | "p50"> & {
  /** Of all servers together. */
  readonly cpu: number;
  /** Of the database's processes that serve connections, and of all others. */
  readonly database: number;
  readonly others: number;
};

/** Loads servers, each by a loader of its own, with 16 messages in flight of each device. */
async function load(
  database: Postgres,
  servers: readonly Contestant[],
  loaders: readonly Loader[],
  ids: readonly (readonly string[])[],
  time = TURN_MS,
): Promise<Costs> {
  const of = async () => {
    const all = await Promise.all(servers.map((server) => server.usage()));
    return [all.reduce((sum, it) => sum + it!.cpu, 0), ...await cpuOf(database)];
  };
  await Promise.all(servers.map(({ port }, at) => loaders[at]!.open(port, [...ids[at]!], 2)));
  const before = await of();
  const runs = await Promise.all(servers.map((_, at) => loaders[at]!.run(16, WARM_UP_MS, time)));
  const after = await of();
  const closed = await Promise.all(servers.map((_, at) => loaders[at]!.close()));
  const count = closed.reduce((sum, { acked }) => sum + acked, 0);
  const [cpu, backends, others] = after.map((it, i) => (it - before[i]!) * 1e6 / count);
  const rate = runs.reduce((sum, { rate }) => sum + rate, 0);
  const p50 = median(runs.map(({ p50 }) => p50));
  return { rate, p50, cpu: cpu!, database: backends!, others: others! };
}

/** Measures a message's cost with 100 connections and 16 in flight on each, at one server and at two. */
export async function measureCosts(database: Postgres, rounds: number): Promise<Section> {
  await using stack = new AsyncDisposableStack();
  const start = async (store: string, name: string) =>
    stack.use(await Contestant.holdfast(["--store", store], name));
  const [alone, shared] = [database.url(database.schema()), database.url(database.schema())];
  const one = [await start(alone, "one")];
  const pair = [await start(shared, "first"), await start(shared, "second")];
  const loaders = [stack.use(new Loader()), stack.use(new Loader())];
  const idsOf = (servers: readonly Contestant[]) =>
    servers.map(({ name }) =>
      Array.from({ length: 100 / servers.length }, (_, i) => `${name} ${i}`)
    );
  const turns = await inTurns("what 100 × 16 to fleets cost", rounds, [
    ["one server", () => load(database, one, loaders, idsOf(one), COSTS_MS)],
    ["two servers", () => load(database, pair, loaders, idsOf(pair), COSTS_MS)],
  ]);
  return {
    title: "Processor time of a message on PostgreSQL, 100 connections × 16 in flight in all, µs",
    columns: [
      { key: "servers", title: "servers" },
      { key: "cpu", title: "servers", digits: 1 },
      { key: "database", title: "database, connections", digits: 1 },
      { key: "others", title: "database, other processes", digits: 1 },
      { key: "rate", title: "messages/s" },
    ],
    rows: Array.from(turns, ([servers, own]) => ({
      servers,
      cpu: median(own.map(({ cpu }) => cpu)),
      database: median(own.map(({ database }) => database)),
      others: median(own.map(({ others }) => others)),
      rate: median(own.map(({ rate }) => rate)),
    })),
    aims: [],
  };
}

/** Measures a message's cost by the number of devices that the database knows. */
export async function measureKnown(database: Postgres, rounds: number): Promise<Section> {
  await using stack = new AsyncDisposableStack();
  const loader = stack.use(new Loader());
  const ids = Array.from({ length: WRITERS }, (_, i) => `writer ${i}`);
  const costs = (server: Contestant) => () => load(database, [server], [loader], [ids]);
  const contestants: [known: number, turn: ReturnType<typeof costs>][] = [];
  for (const known of KNOWN) {
    const schema = database.schema();
    const server = stack.use(await Contestant.holdfast(["--store", database.url(schema)]));
    contestants.push([known, costs(server)]);
    database.sql(knowing(known - WRITERS), schema);
  }
  const turns = await inTurns(`${KNOWN.join(", ")} known devices`, rounds, contestants);
  return {
    title:
      `What a message costs by the devices that the database knows, ${WRITERS} connections × 16`,
    columns: [
      { key: "known", title: "known devices" },
      { key: "rate", title: "messages/s" },
      { key: "p50", title: "p50 ms", digits: 1 },
      { key: "cpu", title: "server's CPU, µs/message", digits: 1 },
      { key: "database", title: "database's CPU, µs/message", digits: 1 },
    ],
    rows: Array.from(turns, ([known, own]) => ({
      known,
      rate: median(own.map(({ rate }) => rate)),
      p50: median(own.map(({ p50 }) => p50 / 1000)),
      cpu: median(own.map(({ cpu }) => cpu)),
      database: median(own.map(({ database, others }) => database + others)),
    })),
    aims: [],
  };
}

/** SQL that adds this many devices for which nothing waits. */
function knowing(devices: number): string {
  return `INSERT INTO holdfast_devices (device, id, token, tx_epoch, tx_next, tx_sent, next_id,
      rx_epoch, rx_next, connects, processed)
    SELECT token, 'known ' || token, token, 1, 0, 0, 0, 1, 0, 1, 0
    FROM (SELECT nextval('holdfast_tokens') AS token FROM generate_series(1, ${devices})) AS made;
    ANALYZE`;
}

/** Processor time so far of the database's processes that serve connections, and of its others, in s. */
async function cpuOf(database: Postgres): Promise<[connections: number, others: number]> {
  const ticks: [number, number] = [0, 0];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const read = (what: string) =>
      Deno.readTextFile(`/proc/${name}/${what}`).catch(() => undefined);
    const [stat, command] = [await read("stat"), await read("cmdline")];
    if (stat === undefined || command === undefined) continue; // it has ended
    // ppid, utime and stime are fields 4, 14 and 15; the name (2) may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(fields[1]) !== database.pid) continue;
    const isConnection = /^postgres: \S+ \S+ (\[local\]|\d)/.test(command);
    ticks[isConnection ? 0 : 1] += Number(fields[11]) + Number(fields[12]);
  }
  return [ticks[0] / 100, ticks[1] / 100];
}
