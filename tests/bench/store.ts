/**
 * What it costs to make every message safe on disk before it is acknowledged; beside it a broker that
 * keeps everything in memory, with MQTT's promise of exactly once.
 *
 * @module
 */
import { Contestant, Loader } from "./processes.ts";
import { median, progress, type Section } from "./report.ts";
import { type Turn, turn } from "./turn.ts";
import { POSTGRES, Postgres } from "../support/postgres.ts";
import { locate, type Tools } from "../support/tools.ts";

const FULL = { connections: 100, window: 16 };

/** A load of which the latency is of interest: one message at a time. */
const ALONE = { connections: 1, window: 1 };

/** One turn, in ms: longer than those in memory, as disks and garbage collectors come in bursts. */
const TURN = { warmUpMs: 200, ms: 1000 };

/** The least that the store on disk is to reach, to the broker's rate. */
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
  const { paths, missing } = locate(POSTGRES);
  if (missing.length === 0) {
    // As it is installed, but for its place: each commit is synced.
    const tools = paths as Tools<keyof typeof POSTGRES>;
    const database = stack.use(await Postgres.start(tools, ["fsync = on"]));
    const url = database.url(database.schema());
    servers.push(stack.use(await Contestant.holdfast(["--store", url], "postgresql")));
  } else progress(`no PostgreSQL here: ${missing.join(" ")}`);
  const contestants: [string, Contestant, Loader, 1 | 2][] = servers.flatMap((server) =>
    ([2, 1] as const).map((dialect) =>
      [`${server.name}, dialect ${dialect}`, server, loader, dialect] as [
        string,
        Contestant,
        Loader,
        1 | 2,
      ]
    )
  );
  const { mosquitto } = locate({ mosquitto: "mosquitto" }).paths;
  const broker = "mosquitto, QoS 2 both ways";
  if (mosquitto) {
    const mqtt = stack.use(new Loader("mqtt.ts"));
    contestants.push([broker, stack.use(await Contestant.mosquitto(mosquitto, folder)), mqtt, 2]);
  } else progress("no mosquitto here: its Debian package has that name");

  const turns = new Map<string, (Turn & { alone: number })[]>();
  for (let round = -1; round < rounds; round++) { // the first is for their compilers
    progress(`${FULL.connections} × ${FULL.window} to stores, round ${round + 1} of ${rounds}`);
    for (const [name, server, loader, dialect] of contestants) {
      const result = await turn(server, loader, FULL, { ...TURN, dialect });
      const alone = await turn(server, loader, ALONE, { ...TURN, dialect });
      const both = { ...result, alone: alone.p50 };
      if (round >= 0) turns.set(name, [...turns.get(name) ?? [], both]);
    }
  }

  const brokers = turns.get(broker);
  const rows = Array.from(turns, ([server, own]) => ({
    server,
    rate: median(own.map(({ rate }) => rate)),
    toBroker: brokers &&
      median(own.map(({ rate }, round) => rate / brokers[round]!.rate)),
    p50: median(own.map(({ p50 }) => p50 / 1000)),
    p99: median(own.map(({ p99 }) => p99 / 1000)),
    alone: median(own.map(({ alone }) => alone / 1000)),
    cpu: median(own.map(({ cpu }) => cpu ?? NaN)),
  }));
  const ratio = Number(rows.find(({ server }) => server === "sqlite, full, dialect 2")!.toBroker);
  return {
    title: `Messages made safe, ${FULL.connections} connections × ${FULL.window} in flight`,
    columns: [
      { key: "server", title: "server" },
      { key: "rate", title: "messages/s" },
      { key: "toBroker", title: "to mosquitto", digits: 2 },
      { key: "p50", title: "p50 ms", digits: 1 },
      { key: "p99", title: "p99 ms", digits: 1 },
      { key: "alone", title: "1 × 1: p50 ms", digits: 2 },
      { key: "cpu", title: "server's CPU, µs/message", digits: 2 },
    ],
    rows,
    aims: brokers
      ? [{
        what: "throughput with the store on disk, to mosquitto's QoS 2",
        aim: `${AIM} ×`,
        measured: `${ratio.toFixed(2)} ×`,
        met: ratio >= AIM,
      }]
      : [],
  };
}
