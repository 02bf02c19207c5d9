/**
 * The cost of making every message safe on disk before it is acknowledged, compared with a broker that keeps everything
 * in memory, with MQTT's exactly-once.
 *
 * @module
 */
import { besideBroker, startBroker, startDatabase } from "./made_safe.ts";
import { Contestant, type Loader } from "./processes.ts";
import { median, type Section } from "./report.ts";
import { inTurns, turn } from "./turn.ts";

const FULL = { connections: 100, window: 16 };

/** A load for latency: one message at a time. */
const ALONE = { connections: 1, window: 1 };

/** One turn, in ms: longer than those in memory, as disks and garbage collectors come in bursts. */
const TURN = { warmUpMs: 200, ms: 1000 };

/** The least rate of the store on disk, relative to the broker. */
const AIM = 2;

/** Lets servers take turns with the same load, and the broker, if there is one. */
export async function measureStore(loader: Loader, rounds: number): Promise<Section> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const onDisk = (name: string, ...options: string[]) =>
    Contestant.holdfast(["--store", `${folder}/${name}.db`, ...options], name);
  const servers = [
    stack.use(await Contestant.holdfast([], "memory")),
    stack.use(await onDisk("sqlite, full")),
    stack.use(await onDisk("sqlite, normal", "--durability", "normal")),
  ];
  const peer = await startBroker(folder, stack);
  const safe = (server: Contestant, loader: Loader, dialect: 1 | 2) => async () => {
    const result = await turn(server, loader, FULL, { ...TURN, dialect });
    const alone = await turn(server, loader, ALONE, { ...TURN, dialect });
    return { ...result, alone: alone.p50 };
  };
  const measure = async (servers: readonly Contestant[]) => {
    const contestants: [name: string, turn: ReturnType<typeof safe>][] = [];
    for (const server of servers) {
      for (const dialect of [2, 1] as const) {
        contestants.push([`${server.name}, dialect ${dialect}`, safe(server, loader, dialect)]);
      }
    }
    if (peer) contestants.push([peer.name, safe(peer.broker, peer.loader, 2)]);
    const what = `${FULL.connections} × ${FULL.window} to stores`;
    const turns = await inTurns(what, rounds, contestants);
    const { columns, rows } = besideBroker(turns);
    for (const row of rows) {
      row["cpu"] = median(turns.get(String(row["server"]))!.map(({ cpu }) => cpu ?? NaN));
    }
    return { columns, rows };
  };

  const { columns, rows } = await measure(servers);
  // By itself, as it has work to do for some seconds after its turns.
  const database = await startDatabase();
  if (database) {
    stack.use(database);
    const url = database.url(database.schema());
    const server = stack.use(await Contestant.holdfast(["--store", url], "postgresql"));
    const { rows: more } = await measure([server]);
    rows.push(...more.filter(({ server }) => server !== peer?.name));
  }
  const ratio = Number(
    rows.find(({ server }) => server === "sqlite, full, dialect 2")!["toBroker"],
  );
  return {
    title: `Messages made safe, ${FULL.connections} connections × ${FULL.window} in flight`,
    columns: [...columns, { key: "cpu", title: "server's CPU, µs/message", digits: 2 }],
    rows,
    aims: peer
      ? [{
        what: "throughput with the store on disk, to mosquitto's QoS 2",
        aim: `${AIM} ×`,
        measured: `${ratio.toFixed(2)} ×`,
        met: ratio >= AIM,
      }]
      : [],
  };
}
