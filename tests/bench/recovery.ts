/**
 * How long it takes until a message is delivered again after an outage: from the moment when the path works again until
 * the writer of a waiting message is told that it is safe at the server.
 *
 * @module
 */
import { Client } from "../../bridge/host/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";
import { Contestant } from "./processes.ts";
import { type Aim, median, progress, quantile, type Section } from "./report.ts";

/** Devices of each dialect; each has a cable of its own. */
const DEVICES = 25;

/** Timeout in ms, at both ends. */
const TIMEOUT = 2000;

const AIM_MS = 1000;

/** How long a server is away, in ms. */
const AWAY = 1500;

const DIALECTS = [1, 2] as const;

interface CabledClient {
  client: Client;
  dialect: 1 | 2;
  cable: FaultProxy;
}

/** By kind of outage and dialect. */
type Samples = Map<string, number[]>;

/** Lets links break again and again, in every way. */
export async function measureRecovery(rounds: number): Promise<Section> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const start = () =>
    Contestant.holdfast(["--store", `${folder}/recovery.db`, "--timeout", `${TIMEOUT}`]);
  let server = await start();
  stack.defer(() => server[Symbol.asyncDispose]());
  const links: CabledClient[] = [];
  for (const dialect of DIALECTS) {
    for (let i = 0; i < DEVICES; i++) {
      const cable = stack.use(await FaultProxy.start({ target: { port: server.port } }));
      const id = `${dialect}-${i}`;
      const client = new Client({ id, port: cable.port, timeout: TIMEOUT, dialect });
      links.push({ client: stack.use(client), dialect, cable });
    }
  }
  await Promise.all(links.map((link) => link.client.write("begin")));

  const samples: Samples = new Map();
  for (let round = 0; round < rounds; round++) {
    progress(`recoveries, round ${round + 1} of ${rounds}`);
    await Promise.all(links.map(async (link) => {
      await calm();
      link.cable.reset();
      await recover(link, "reset", samples);
    }));
    await Promise.all(links.map(async (link) => {
      await calm();
      await swallow(link, true, samples);
    }));
    await Promise.all(links.map(async (link) => {
      await calm();
      await swallow(link, false, samples);
    }));
    await calm();
    await server.kill();
    await pause(Math.random() * AWAY);
    server = await start();
    for (const { cable } of links) cable.retarget(server.port);
    await Promise.all(links.map((link) => recover(link, "server killed", samples)));
  }
  return report(samples);
}

/** A link that has lasted for the timeout reconnects without a pause. */
function calm(): Promise<void> {
  return pause(TIMEOUT + Math.random() * TIMEOUT);
}

/**
 * A black hole that lasts until the device has noticed it, and a while longer. With `drop` its bytes are lost (as when
 * a router has forgotten its connections), so an attempt to connect that began in it fails, and must be given up first.
 * Otherwise everything arrives late.
 */
async function swallow(link: CabledClient, drop: boolean, samples: Samples): Promise<void> {
  const { client, cable } = link;
  cable.blackhole();
  const lost = client.write("lost at first");
  await until(() => !client.connected, { what: "the outage to be noticed" });
  await pause(Math.random() * TIMEOUT);
  cable.restore({ drop });
  const kind = `black hole, all ${drop ? "lost" : "late"}`;
  await Promise.all([lost, recover(link, kind, samples)]);
}

/** The path works again. */
async function recover(link: CabledClient, kind: string, samples: Samples): Promise<void> {
  const from = performance.now();
  await link.client.write("the first one again");
  const key = JSON.stringify([kind, link.dialect]);
  samples.set(key, [...samples.get(key) ?? [], performance.now() - from]);
}

function report(samples: Samples): Section {
  const rows = [];
  const aims: Aim[] = [];
  for (const [key, times] of samples) {
    const [kind, dialect] = JSON.parse(key);
    const p99 = quantile(times, 0.99);
    const row = { kind, dialect, count: times.length, p50: median(times), p99 };
    rows.push({ ...row, worst: Math.max(...times) });
    aims.push({
      what: `delivered again after: ${kind}, dialect ${dialect}`,
      aim: `p99 under ${AIM_MS} ms`,
      measured: `${Math.ceil(p99)} ms`,
      met: p99 < AIM_MS,
    });
  }
  const columns = [
    { key: "kind", title: "outage" },
    { key: "dialect", title: "dialect" },
    { key: "count", title: "outages" },
    { key: "p50", title: "p50 ms" },
    { key: "p99", title: "p99 ms" },
    { key: "worst", title: "worst, ms" },
  ];
  const title = `From the path's return to the first message delivered, timeout ${TIMEOUT} ms`;
  return { title, columns, rows, aims };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
