/**
 * Shared by benchmarks of stores: the peers that they start, if installed, and the table that compares servers with a
 * broker.
 *
 * @module
 */
import { POSTGRES, Postgres } from "../support/postgres.ts";
import { locate, type Tools } from "../support/tools.ts";
import { Contestant, Loader } from "./processes.ts";
import { type Column, median, progress, type Section } from "./report.ts";
import type { Turn } from "./turn.ts";

const BROKER = "mosquitto, QoS 2 both ways";

/** A load, and one message at a time. Times are in µs. */
export type SafeTurn = Pick<Turn, "rate" | "p50" | "p99"> & {
  /** The median with one message on its way. */
  alone: number;
};

/** PostgreSQL with the installed settings except for its folder: each commit is synced. Undefined, with a note: not
 * installed. */
export async function startDatabase(): Promise<Postgres | undefined> {
  const { paths, missing } = locate(POSTGRES);
  if (missing.length > 0) {
    progress(`no PostgreSQL here: ${missing.join(" ")}`);
    return undefined;
  }
  return await Postgres.start(paths as Tools<keyof typeof POSTGRES>, ["fsync = on"]);
}

/** A broker, its loader, and its name in the table. Undefined, with a note: not installed. */
export async function startBroker(
  folder: string,
  stack: AsyncDisposableStack,
): Promise<{ name: string; broker: Contestant; loader: Loader } | undefined> {
  const { mosquitto } = locate({ mosquitto: "mosquitto" }).paths;
  if (!mosquitto) {
    progress("no mosquitto here: its Debian package has that name");
    return undefined;
  }
  const loader = stack.use(new Loader("mqtt.ts"));
  const broker = stack.use(await Contestant.mosquitto(mosquitto, folder));
  return { name: BROKER, broker, loader };
}

/** A row for each server, and its ratio to the broker of the same round, if there is one. */
export function besideBroker(
  turns: ReadonlyMap<string, readonly SafeTurn[]>,
): Pick<Section, "columns" | "rows"> {
  const brokers = turns.get(BROKER);
  const columns: Column[] = [
    { key: "server", title: "server" },
    { key: "rate", title: "messages/s" },
    { key: "toBroker", title: "to mosquitto", digits: 2 },
    { key: "p50", title: "p50 ms", digits: 1 },
    { key: "p99", title: "p99 ms", digits: 1 },
    { key: "alone", title: "1 × 1: p50 ms", digits: 2 },
  ];
  const rows: Section["rows"] = Array.from(turns, ([server, own]) => ({
    server,
    rate: median(own.map(({ rate }) => rate)),
    toBroker: brokers && median(own.map(({ rate }, round) => rate / brokers[round]!.rate)),
    p50: median(own.map(({ p50 }) => p50 / 1000)),
    p99: median(own.map(({ p99 }) => p99 / 1000)),
    alone: median(own.map(({ alone }) => alone / 1000)),
  }));
  return { columns, rows };
}
