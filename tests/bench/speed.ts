/**
 * Round trips and throughput: messages that are acknowledged and taken by the application.
 *
 * @module
 */
import { Client } from "../../bridge/host/mod.ts";
import { delivered } from "./audit.ts";
import { Contestant, type Loader } from "./processes.ts";
import { type Aim, median, progress, quantile, type Section } from "./report.ts";
import { type Load, type Turn, turn } from "./turn.ts";

/** Loads for which latency matters. */
export const roundtrip: Load[] = [{ connections: 1, window: 1 }, { connections: 100, window: 1 }];

/** Loads for which the rate matters. */
export const throughput: Load[] = [
  { connections: 1, window: 16 },
  { connections: 100, window: 16 },
];

/** Length of one contestant's turn, in ms: short, so that all have the same disturbances. */
const TURN_MS = 250;
const TURN_WARM_UP_MS = 20;

/** Load for each server before the first turn, in ms: until its code is compiled. */
const WARM_UP_MS = 500;

/** Turns of the reference: it admits five clients a second, so each takes 20 s longer. */
const REFERENCE_ROUNDS = 2;

type Measured = Omit<Turn, "acked">;

/** Lets contestants take turns with one load after the other. */
export async function measureSpeed(
  loads: Load[],
  loader: Loader,
  options: { rounds: number; reference: string | undefined },
): Promise<Section> {
  const { rounds, reference } = options;
  await using bare = await Contestant.bare();
  await using bareNet = await Contestant.bareNet();
  await using holdfast = await Contestant.holdfast();
  const hostClient = loads.some(({ window }) => window === 1)
    ? new Client({ id: "host client", port: holdfast.port })
    : undefined;
  let acked = 0; // by Holdfast
  const section: Section = { title: "Acknowledged messages", columns, rows: [], aims: [] };

  /** Counts the messages that our server has acknowledged. */
  async function take(contestant: Contestant, load: Load, ms = TURN_MS): Promise<Turn> {
    const taken = await turn(contestant, loader, load, { warmUpMs: TURN_WARM_UP_MS, ms });
    if (contestant === holdfast) acked += taken.acked;
    return taken;
  }

  try {
    progress("warming up");
    for (const contestant of [bare, bareNet, holdfast]) {
      await take(contestant, { connections: 100, window: 16 }, WARM_UP_MS);
      await take(contestant, { connections: 1, window: 1 }, WARM_UP_MS);
    }
    if (hostClient) acked += (await writeInTurn(hostClient, WARM_UP_MS)).length;
    for (const load of loads) {
      const turns = new Map<string, Measured[]>();
      const keep = (name: string, turn: Measured) =>
        turns.set(name, [...turns.get(name) ?? [], turn]);
      for (let round = 0; round < rounds; round++) {
        const { connections, window } = load;
        progress(`${connections} × ${window} in flight, round ${round + 1} of ${rounds}`);
        for (const contestant of [bare, bareNet, holdfast]) {
          keep(contestant.name, await take(contestant, load));
        }
        if (hostClient && connections === 1 && window === 1) {
          const samples = await writeInTurn(hostClient, TURN_MS);
          acked += samples.length;
          keep("holdfast, host client", {
            rate: samples.length / TURN_MS * 1000,
            p50: median(samples),
            p99: quantile(samples, 0.99),
            cpu: undefined,
          });
        }
        if (reference && round < REFERENCE_ROUNDS) {
          // It keeps polling for clients that have left, so it runs only for its turn.
          await using contestant = await Contestant.reference(reference, connections);
          keep(contestant.name, await take(contestant, load, TURN_MS * 4));
        }
      }
      for (const [name, own] of turns) {
        section.rows.push(summary(load, name, own, turns.get("bare")!));
      }
      section.aims.push(...aims(section, load));
    }
    const total = await delivered(holdfast.port);
    if (total !== acked) throw new Error(`${acked} messages were acknowledged, ${total} delivered`);
  } finally {
    await hostClient?.close();
  }
  return section;
}

/** Writes one message after the other. @returns the round trips in µs */
async function writeInTurn(client: Client, ms: number): Promise<number[]> {
  await client.ready();
  const samples: number[] = [];
  const end = performance.now() + ms;
  for (let at = performance.now(); at < end;) {
    await client.write(`message ${samples.length}`.padEnd(32, "."));
    const now = performance.now();
    samples.push((now - at) * 1000);
    at = now;
  }
  return samples;
}

const columns = [
  { key: "connections", title: "connections" },
  { key: "window", title: "in flight" },
  { key: "server", title: "server" },
  { key: "rate", title: "messages/s" },
  { key: "rateToBare", title: "to bare", digits: 2 },
  { key: "p50", title: "p50 µs" },
  { key: "p50ToBare", title: "to bare", digits: 2 },
  { key: "p99", title: "p99 µs" },
  { key: "cpu", title: "server's CPU, µs/message", digits: 2 },
];

/** Medians over the rounds; ratios are taken within a round. */
function summary({ connections, window }: Load, server: string, own: Measured[], bare: Measured[]) {
  const middle = (pick: (turn: Measured, bare: Measured) => number) =>
    median(own.map((turn, round) => pick(turn, bare[round]!)));
  const cpu = own.map((turn) => turn.cpu).filter((value) => value !== undefined);
  return {
    connections,
    window,
    server,
    rate: middle((turn) => turn.rate),
    rateToBare: middle((turn, bare) => turn.rate / bare.rate),
    p50: middle((turn) => turn.p50),
    p50ToBare: middle((turn, bare) => turn.p50 / bare.p50),
    p99: middle((turn) => turn.p99),
    // The system counts it in steps of 10 ms, so the mean is better than the median.
    cpu: cpu.length > 0 ? cpu.reduce((sum, value) => sum + value) / cpu.length : undefined,
  };
}

function aims({ rows }: Section, { connections, window }: Load): Aim[] {
  const rowOf = (server: string) =>
    rows.find((row) =>
      row["server"] === server && row["connections"] === connections && row["window"] === window
    )!;
  const number = (server: string, key: string) => Number(rowOf(server)[key]);
  const load = `${connections} ${connections === 1 ? "connection" : "connections"} × ${window}`;
  if (window === 1) {
    const ratio = number("holdfast", "p50ToBare");
    return [{
      what: `p50 round trip, ${load}`,
      aim: "at most 2 × bare",
      measured: `${ratio.toFixed(2)} ×`,
      met: ratio <= 2,
    }];
  }
  if (connections === 1) return [];
  const rate = number("holdfast", "rate");
  const ratio = number("holdfast", "rateToBare");
  return [{
    what: `throughput, ${load}`,
    aim: "300,000/s, or 0.4 × bare if that is less",
    measured: `${Math.round(rate).toLocaleString("en")}/s, ${ratio.toFixed(2)} ×`,
    met: rate >= 300_000 || ratio >= 0.4,
  }];
}
