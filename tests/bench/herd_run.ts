/**
 * One server and its herd, from the first connection to the last.
 *
 * @module
 */
import { delivered } from "./audit.ts";
import type { State } from "./herd_load.ts";
import { type Contestant, freePort, HerdLoader } from "./processes.ts";

/** How long each part takes, in ms: `settle` and `idle` on the devices' clock. */
export interface Pace {
  /** Time until a herd counts as idle. */
  settle: number;
  idle: number;
  write: number;
  /** Longest wait for all links. */
  gather: number;
}

/** A server under test. */
export interface Runner {
  name: string;
  start(port: number): Promise<Contestant>;
  /** Whether it is our server: the others send no welcome, and deliver nothing. */
  holdfast: boolean;
}

/** Results. Times in ms, shares of one core in percent, memory in KB. */
export interface Found {
  /** Of each device; undefined unless all were up. */
  memory: number | undefined;
  idle: number | undefined;
  /** Until all were up; undefined: they never were. */
  up: number | undefined;
  /** The same after a SIGKILL, from the moment at which the next server listens. */
  back: number | undefined;
  /** Links that were up in the end. */
  left: number;
  attempts: number;
  /** Connections that the server closed before they were up, links that it closed, and links on which it was
   * silent. */
  lost: { early: number; closed: number; silent: number };
  /** Number of SILENT, STALLED and NO_HELLO in the server's log. */
  blamed: number;
  p50: number | undefined;
  p99: number | undefined;
  /** Messages without an ack in the end. */
  missing: number;
  /** The server's share of a core while messages come. */
  writing: number | undefined;
  /** The load's own share of a core: idle, and with messages. */
  herdIdle: number | undefined;
  herdWriting: number | undefined;
  /** The longest time for which the load was held up. */
  heldUp: number;
}

/** Messages per second, of the whole herd. */
export const RATE = 500;

/** Codes with which the server blames a device. */
const BLAME = ["SILENT", "STALLED", "NO_HELLO"];

/** Runs a herd of this many devices against one server. */
export async function runHerd(runner: Runner, devices: number, pace: Pace): Promise<Found> {
  await using stack = new AsyncDisposableStack();
  const herd = stack.use(new HerdLoader());
  const port = freePort();
  let server = await runner.start(port);
  stack.defer(() => server[Symbol.asyncDispose]());
  let blamed = 0;
  const watch = (line: string) => {
    const { code, unsaid = 0 } = line.startsWith("{") ? JSON.parse(line) : {};
    if (BLAME.includes(code)) blamed += 1 + unsaid;
  };
  server.onLine = watch;
  let heldUp = 0;
  const look = <S extends State>(state: S) => {
    heldUp = Math.max(heldUp, state.heldUp);
    return state;
  };
  const gather = async () => look(await herd.order({ do: "gather", ms: pace.gather }));
  const pass = async (ms: number) => look(await herd.order({ do: "pass", ms }));
  /** Lets devices write. Acknowledged messages must be delivered. */
  const write = async (ms: number) => {
    const { acked, up } = look(await herd.order({ do: "look" }));
    const before = runner.holdfast && up === devices ? await delivered(port) : undefined;
    const measured = await shares(server, herd, () => herd.write(RATE, ms));
    const written = look(measured.result);
    const whole = written.up === devices && written.missing === 0; // otherwise the figures show it
    if (before !== undefined && whole && await delivered(port) - before !== written.acked - acked) {
      throw new Error(`${written.acked - acked} messages were acknowledged, but fewer delivered`);
    }
    return { ...measured, ...written };
  };

  // What starts with the first connection is not part of the herd's cost.
  if (runner.holdfast) await delivered(port);
  else await touch(port);
  const empty = await server.usage();
  await herd.order({ do: "look" }); // the process has started
  const begun = now();
  await herd.order({ do: "begin", port, devices, welcomes: runner.holdfast });
  const first = await gather();
  await pass(pace.settle);
  const full = await server.usage();
  const idle = await shares(server, herd, () => pass(pace.idle));
  const writing = await write(pace.write);

  await herd.order({ do: "outlive" });
  await server.kill();
  server = await runner.start(port);
  server.onLine = watch;
  const listens = now();
  await herd.order({ do: "expect" });
  const second = await gather();
  await pass(pace.settle);
  const after = await write(pace.settle);

  const growth = full && empty && (full.memory - empty.memory) / 1024 / devices;
  const since = ({ allUpAt }: State, from: number) =>
    allUpAt === undefined ? undefined : allUpAt - from;
  return {
    memory: first.up === devices ? growth : undefined,
    idle: idle.server,
    writing: writing.server,
    up: since(first, begun),
    back: since(second, listens),
    left: after.up,
    attempts: after.attempts,
    lost: { early: after.closedEarly, closed: after.closed, silent: after.silent },
    blamed,
    p50: writing.p50,
    p99: writing.p99,
    missing: writing.missing + after.missing,
    herdIdle: idle.herd,
    herdWriting: writing.herd,
    heldUp,
  };
}

/** Share of a core that both use meanwhile, in percent. */
async function shares<T>(server: Contestant, herd: HerdLoader, work: () => Promise<T>) {
  const usage = async () => ({ at: now(), of: [await server.usage(), await herd.usage()] });
  const before = await usage();
  const result = await work();
  const after = await usage();
  const [ofServer, ofHerd] = after.of.map((usage, i) => {
    const earlier = before.of[i];
    return usage && earlier && (usage.cpu - earlier.cpu) * 1e5 / (after.at - before.at);
  });
  return { result, server: ofServer, herd: ofHerd };
}

/** One connection that comes and goes. */
async function touch(port: number): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode("touch\n"));
  await conn.read(new Uint8Array(1));
}

/** ms since 1970, the same in all processes. */
function now(): number {
  return performance.timeOrigin + performance.now();
}
