/**
 * Several servers on one PostgreSQL: the gain of a second one, how long a moving device is without a server, and the
 * cost of a message when the database knows many devices.
 *
 * @module
 */
import { Client } from "../../bridge/host/mod.ts";
import type { Postgres } from "../support/postgres.ts";
import { FaultProxy } from "../support/proxy.ts";
import { measureCosts, measureKnown, TURN_MS, WARM_UP_MS } from "./fleet_costs.ts";
import { besideBroker, type SafeTurn, startBroker, startDatabase } from "./made_safe.ts";
import { Contestant, Loader } from "./processes.ts";
import { median, progress, quantile, type Section } from "./report.ts";
import { inTurns } from "./turn.ts";

/** Devices that move together, and how often each kind of move is made. */
const MOVERS = 20;
const MOVES = 3;

/** Timeout in ms, at both ends. */
const TIMEOUT = 2000;

/** A server that is stopped sends its devices away within this time, in ms. */
const SENT_AWAY = 1000;

/** How long a transaction sleeps, in s, and how many there are, one after the other. */
const SLOW = [[0, 0], [0.1, 50], [1, 5]] as const;
const SLOW_TIME = 5;

/** Lets servers on one database take turns, and devices move between them. */
export async function measureFleet(rounds: number): Promise<Section[]> {
  await using database = await startDatabase();
  if (!database) return [];
  return [
    await measureServers(database, rounds),
    await measureCosts(database, rounds),
    await measureMoves(database),
    await measureKnown(database, rounds),
    await measureSlow(database),
  ];
}

async function measureServers(database: Postgres, rounds: number): Promise<Section> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const on = (store: string, name: string) => Contestant.holdfast(["--store", store], name);
  const url = database.url(database.schema());
  const file = stack.use(await on(`${folder}/server.db`, "sqlite"));
  const one = stack.use(await on(database.url(database.schema()), "one"));
  const pair = [stack.use(await on(url, "first")), stack.use(await on(url, "second"))];
  const loaders = [stack.use(new Loader()), stack.use(new Loader())];
  const contestants: [name: string, turn: () => Promise<SafeTurn>][] = [
    ["sqlite, full", () => turn([file], loaders)],
    ["postgresql, one server", () => turn([one], loaders)],
    ["postgresql, two servers", () => turn(pair, loaders)],
  ];
  const peer = await startBroker(folder, stack);
  if (peer) contestants.push([peer.name, () => turn([peer.broker], [peer.loader])]);
  return {
    title: "Several servers on one PostgreSQL, 100 connections × 16 in flight in all",
    ...besideBroker(await inTurns("100 × 16 to fleets", rounds, contestants)),
    aims: [],
  };
}

/** The same load, divided among servers. */
async function turn(servers: readonly Contestant[], loaders: readonly Loader[]): Promise<SafeTurn> {
  const share = 100 / servers.length;
  const runs = await Promise.all(servers.map(async (server, at) => {
    const ids = Array.from({ length: share }, (_, i) => `${server.name} ${i}`);
    const loader = loaders[at]!;
    await loader.open(server.port, ids, 2);
    const run = await loader.run(16, WARM_UP_MS, TURN_MS);
    await loader.close();
    return run;
  }));
  await loaders[0]!.open(servers[0]!.port, ["alone"], 2);
  const alone = await loaders[0]!.run(1, WARM_UP_MS, TURN_MS);
  await loaders[0]!.close();
  return {
    rate: runs.reduce((sum, { rate }) => sum + rate, 0),
    p50: median(runs.map(({ p50 }) => p50)),
    p99: Math.max(...runs.map(({ p99 }) => p99)),
    alone: alone.p50,
  };
}

/** A device that knows both servers. */
interface Mover {
  readonly client: Client;
  /** When its link was last lost. */
  lost: number;
}

/** How a server ends, so that its devices move. */
const LEAVING = {
  "the device's connection is lost, both servers go on": "reset",
  "planned: the server is stopped": "stop",
  "unplanned: the server is killed": "kill",
} as const;

async function measureMoves(database: Postgres): Promise<Section> {
  await using stack = new AsyncDisposableStack();
  const args = ["--store", database.url(database.schema()), "--timeout", `${TIMEOUT}`]
    .concat("--send-away", `${SENT_AWAY}`);
  const servers: Contestant[] = [];
  stack.defer(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]();
  });
  const ways: FaultProxy[] = [];
  for (const name of ["first", "second"]) {
    const server = await Contestant.holdfast(args, name);
    servers.push(server);
    ways.push(stack.use(await FaultProxy.start({ target: { port: server.port } })));
  }
  const host = ways.map(({ port }) => `127.0.0.1:${port}`);
  const movers: Mover[] = Array.from({ length: MOVERS }, (_, i) => {
    const mover: Mover = {
      lost: 0,
      client: new Client({
        id: `mover ${i}`,
        host,
        timeout: TIMEOUT,
        onState: (isUp) => {
          if (!isUp) mover.lost = performance.now();
        },
      }),
    };
    stack.use(mover.client);
    return mover;
  });
  await Promise.all(movers.map(({ client }) => client.write("begin")));
  const scene: Scene = { servers, ways, movers, args, at: 0 };
  const rows = [];
  for (const [move, how] of Object.entries(LEAVING)) {
    const times: number[] = [];
    for (let n = 0; n < MOVES; n++) {
      progress(`moves, ${how}, ${n + 1} of ${MOVES}`);
      // A link that has lasted for the timeout reconnects without a pause.
      await pause(TIMEOUT + Math.random() * TIMEOUT);
      times.push(...await leave(how, scene));
    }
    const [p50, p90, worst] = [median(times), quantile(times, 0.9), Math.max(...times)];
    rows.push({ move, count: times.length, p50, p90, worst });
  }
  return {
    title:
      `From the loss of the link to the first message that is safe at the other server, ${MOVERS} devices at once, timeout ${TIMEOUT} ms`,
    columns: [
      { key: "move", title: "move" },
      { key: "count", title: "moves" },
      { key: "p50", title: "p50 ms" },
      { key: "p90", title: "p90 ms" },
      { key: "worst", title: "worst, ms" },
    ],
    rows,
    aims: [],
  };
}

/** Two servers, each at an address of its own, and devices that know both. */
interface Scene {
  readonly servers: Contestant[];
  readonly ways: readonly FaultProxy[];
  readonly movers: readonly Mover[];
  readonly args: string[];
  /** The server at which the devices are. */
  at: number;
}

/** All devices move to the other server. @returns how long each took, in ms */
async function leave(how: "reset" | "stop" | "kill", scene: Scene): Promise<number[]> {
  const { servers, ways, movers, args, at } = scene;
  const begun = performance.now();
  const gone = servers[at]!;
  let ended: Promise<void> | undefined;
  if (how === "reset") {
    servers.reverse(); // the same address leads to the other server now
    for (const [i, way] of ways.entries()) way.retarget(servers[i]!.port);
    for (const way of ways) way.reset();
  } else ended = how === "kill" ? gone.kill() : gone.terminate();
  const times = await Promise.all(movers.map(async (mover) => {
    // On a busy machine a device may have moved by itself: it stays there.
    let isLate = false;
    void Promise.resolve(ended).then(() => pause(2 * TIMEOUT)).then(() => isLate = true);
    while (mover.lost < begun && !isLate) await pause(1);
    const { lost } = mover;
    if (lost < begun) return [];
    await mover.client.write("where am I");
    return [performance.now() - lost];
  }));
  if (ended) {
    await ended;
    servers[at] = await Contestant.holdfast(args, gone.name);
    ways[at]!.retarget(servers[at].port);
    scene.at = 1 - at;
  }
  return times.flat();
}

/** How long another device of the same server waits while an application's transaction is slow. */
async function measureSlow(database: Postgres): Promise<Section> {
  const store = database.url(database.schema());
  await using server = await Contestant.holdfast(["--store", store], "slow", "slow.ts");
  await using slow = new Client({ id: "slow", port: server.port });
  await using other = new Client({ id: "other", port: server.port });
  await Promise.all([slow.write("0"), other.write("0")]);
  const rows = [];
  for (const [seconds, count] of SLOW) {
    progress(`transactions of ${seconds * 1000} ms`);
    await Promise.all(Array.from({ length: count }, () => slow.write(`${seconds}`)));
    const end = performance.now() + SLOW_TIME * 1000;
    const times: number[] = [];
    for (let at = performance.now(); at < end;) {
      await other.write("0");
      const now = performance.now();
      times.push(now - at);
      at = now;
    }
    rows.push({
      sleep: seconds * 1000,
      count: times.length,
      p50: median(times),
      p99: quantile(times, 0.99),
      worst: Math.max(...times),
    });
  }
  return {
    title: "Acks of a device while a transaction of another one's application is slow",
    columns: [
      { key: "sleep", title: "transaction, ms" },
      { key: "count", title: "messages" },
      { key: "p50", title: "p50 ms", digits: 1 },
      { key: "p99", title: "p99 ms", digits: 1 },
      { key: "worst", title: "worst, ms", digits: 1 },
    ],
    rows,
    aims: [],
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
