/**
 * The cost of the MQTT bridge: from a device to a subscriber, over server and broker, compared with a publisher at the
 * broker itself, and with one that uses the npm package `mqtt`.
 *
 * @module
 */
import { locate } from "../support/tools.ts";
import { Contestant, WayLoader } from "./processes.ts";
import { median, progress, type Section } from "./report.ts";

/** Messages on their way at once. The bridge has one connection, with at most 100. */
const WINDOWS = [1, 100];

const TURN_MS = 1000;
const WARM_UP_MS = 300;

/**
 * Otherwise the broker waits with further data until the last was acknowledged, which an idle receiver does after
 * 40 ms: now and then that would be all that is measured.
 */
const NO_DELAY = ["set_tcp_nodelay true"];

/** One way to the broker; with a server, over devices at it. */
interface Way {
  name: string;
  way: "plain" | "package" | "devices";
  server?: Contestant;
}

/** Lets the ways take turns at one broker; returns nothing if there is no broker here. */
export async function measureBridge(rounds: number): Promise<Section[]> {
  const { mosquitto } = locate({ mosquitto: "mosquitto" }).paths;
  if (!mosquitto) {
    progress("no mosquitto here: its Debian package has that name");
    return [];
  }
  const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const broker = stack.use(await Contestant.mosquitto(mosquitto, folder, NO_DELAY));
  const ways: Way[] = [
    { name: "publisher, plain", way: "plain" },
    { name: "publisher, npm mqtt", way: "package" },
  ];
  for (const durability of ["full", "normal"]) {
    const name = `device, server, bridge; sqlite, ${durability}`;
    const options = ["--store", `${folder}/${durability}.db`, "--durability", durability]
      .concat("--mqtt", `mqtt://127.0.0.1:${broker.port}`, "--mqtt-prefix", durability);
    ways.push({
      name,
      way: "devices",
      server: stack.use(await Contestant.holdfast(options, name)),
    });
  }
  const loader = stack.use(new WayLoader());
  const rows: Section["rows"] = [];
  for (const window of WINDOWS) {
    rows.push(...await compare(ways, window, broker.port, loader, rounds));
  }
  return [{
    title: "To a subscriber over mosquitto, QoS 2 both times",
    columns: [
      { key: "window", title: "on their way" },
      { key: "name", title: "from" },
      { key: "rate", title: "messages/s" },
      { key: "toPlain", title: "to plain", digits: 2 },
      { key: "toPackage", title: "to npm mqtt", digits: 2 },
      { key: "p50", title: "p50 ms", digits: 2 },
      { key: "p50ToPlain", title: "to plain", digits: 2 },
      { key: "p99", title: "p99 ms", digits: 2 },
    ],
    rows,
    aims: [],
  }];
}

async function compare(
  ways: readonly Way[],
  window: number,
  broker: number,
  loader: WayLoader,
  rounds: number,
): Promise<Section["rows"]> {
  const turns = ways.map((): { rate: number; p50: number; p99: number }[] => []);
  for (let round = -1; round < rounds; round++) { // the first is for their compilers
    progress(`${window} on their way to a subscriber, round ${round + 1} of ${rounds}`);
    for (const [i, { way, server }] of ways.entries()) {
      await loader.open({ broker, way, ...(server && { server: server.port }) });
      const turn = await loader.run(window, WARM_UP_MS, TURN_MS);
      await loader.close();
      if (round >= 0) turns[i]!.push(turn);
    }
  }
  const [plain, npm] = turns;
  return ways.map(({ name }, i) => {
    const own = turns[i]!;
    const ratio = (key: "rate" | "p50", to = plain!) =>
      median(own.map((turn, round) => turn[key] / to[round]![key]));
    return {
      window,
      name,
      rate: median(own.map(({ rate }) => rate)),
      toPlain: ratio("rate"),
      toPackage: ratio("rate", npm),
      p50: median(own.map(({ p50 }) => p50 / 1000)),
      p50ToPlain: ratio("p50"),
      p99: median(own.map(({ p99 }) => p99 / 1000)),
    };
  });
}
