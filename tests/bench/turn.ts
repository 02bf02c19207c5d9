/**
 * One turn of one server under a load: a number of connections, each with a number of messages on their way.
 *
 * @module
 */
import type { Proof } from "./load.ts";
import type { Contestant, Loader } from "./processes.ts";
import { progress } from "./report.ts";

export interface Load {
  connections: number;
  window: number;
}

export interface Turn {
  /** Messages acknowledged per second. */
  rate: number;
  /** From a message's sending to its ack, in µs. */
  p50: number;
  p99: number;
  /** Processor time of the server, in µs per message; undefined where the system does not tell. */
  cpu: number | undefined;
  /** All messages acknowledged, in the warm-up too. */
  acked: number;
}

export interface TurnOptions {
  warmUpMs: number;
  ms: number;
  /** Default 1. */
  dialect?: 1 | 2;
  /** Of dialect 2; default: none, suite 00. */
  proof?: Proof;
}

/** The ids of the devices that connect for a turn. */
export function idsOf(connections: number): string[] {
  return Array.from({ length: connections }, (_, i) => String(i));
}

/** Connects as many devices as the load wants, lets them send, and closes them. */
export async function turn(
  server: Contestant,
  loader: Loader,
  { connections, window }: Load,
  { warmUpMs, ms, dialect = 1, proof }: TurnOptions,
): Promise<Turn> {
  await loader.open(server.port, idsOf(connections), dialect, proof && { proof });
  const before = await server.usage();
  const start = performance.now();
  const { rate, p50, p99 } = await loader.run(window, warmUpMs, ms);
  const wall = performance.now() - start;
  const after = await server.usage();
  const { acked } = await loader.close();
  const share = before && after && (after.cpu - before.cpu) * 1000 / wall;
  return { rate, p50, p99, cpu: share && share / rate * 1e6, acked };
}

/**
 * Lets contestants take turns, so that a disturbance affects all of them. The round before the first is for their
 * compilers.
 *
 * @param what Printed meanwhile: what is measured.
 */
export async function inTurns<Name, Result>(
  what: string,
  rounds: number,
  contestants: readonly (readonly [name: Name, turn: () => Promise<Result>])[],
): Promise<Map<Name, Result[]>> {
  const turns = new Map<Name, Result[]>(contestants.map(([name]) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    progress(`${what}, round ${round + 1} of ${rounds}`);
    for (const [name, turn] of contestants) {
      const result = await turn();
      if (round >= 0) turns.get(name)!.push(result);
    }
  }
  return turns;
}
