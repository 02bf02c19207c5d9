/**
 * How long it takes each end to notice that the other has fallen silent, its socket still open.
 *
 * @module
 */
import { Client } from "../../bridge/host/mod.ts";
import { Contestant } from "./processes.ts";
import { type Aim, median, progress, type Section } from "./report.ts";

const TIMEOUTS = [500, 2000];

/** Links that fall silent, each at another moment between keepalives. */
const LINKS = 10;

const KEEPALIVE = new TextEncoder().encode("\n");

/** Lets peers of the server, and of the host client, fall silent. */
export async function measureOutage(): Promise<Section> {
  const rows = [];
  const aims: Aim[] = [];
  for (const timeout of TIMEOUTS) {
    progress(`outages with a timeout of ${timeout} ms`);
    const ends = { "server's log": byServer(timeout), "host client's onState": byClient(timeout) };
    for (const [end, noticing] of Object.entries(ends)) {
      const noticed = await noticing;
      const worst = Math.max(...noticed);
      rows.push({ end, timeout, least: Math.min(...noticed), median: median(noticed), worst });
      aims.push({
        what: `outage noticed, ${end}, timeout ${timeout} ms`,
        aim: `within ${timeout * 1.1} ms`,
        measured: `${Math.ceil(worst)} ms (worst of ${noticed.length})`,
        met: worst <= timeout * 1.1,
      });
    }
  }
  const columns = [
    { key: "end", title: "noticed by" },
    { key: "timeout", title: "timeout, ms" },
    { key: "least", title: "least, ms" },
    { key: "median", title: "median, ms" },
    { key: "worst", title: "worst, ms" },
  ];
  return { title: "Outages noticed", columns, rows, aims };
}

/** From the last keepalive of a peer to the server's log entry, in ms. */
async function byServer(timeout: number): Promise<number[]> {
  await using server = await Contestant.holdfast(["--timeout", `${timeout}`]);
  const noticed = new Map<string, (at: number) => void>();
  server.onLine = (line) => {
    const { event, device, code } = JSON.parse(line);
    if (event === "disconnected" && code === "SILENT") noticed.get(device)?.(performance.now());
  };
  return await Promise.all(Array.from({ length: LINKS }, async (_, i) => {
    const { promise, resolve } = Promise.withResolvers<number>();
    noticed.set(`peer ${i}`, resolve);
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await conn.write(new TextEncoder().encode(`peer ${i}\n`));
    const silentSince = await keepAlive(conn, timeout, i);
    return await promise - silentSince;
  }));
}

/** From the last keepalive of a server to the host client's `onState(false)`, in ms. */
async function byClient(timeout: number): Promise<number[]> {
  return await Promise.all(Array.from({ length: LINKS }, async (_, i) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { promise, resolve } = Promise.withResolvers<number>();
    const { port } = listener.addr;
    const onState = (up: boolean) => up || resolve(performance.now());
    await using _client = new Client({
      id: `client ${i}`,
      port,
      timeout,
      onState,
      dialect: 1,
    });
    using conn = await listener.accept();
    const silentSince = await keepAlive(conn, timeout, i);
    return await promise - silentSince;
  }));
}

/** Keeps a link alive for a while, which differs for every `i`. @returns when it fell silent */
async function keepAlive(conn: Deno.Conn, timeout: number, i: number): Promise<number> {
  const interval = timeout / 4;
  const pauses = [...Array(2).fill(interval), interval * (i + 1) / LINKS];
  for (const pause of pauses) {
    await conn.write(KEEPALIVE);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  await conn.write(KEEPALIVE);
  return performance.now();
}
