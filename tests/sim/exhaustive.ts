/**
 * A small world, and everything that can happen to it: three messages each way, and every kind of fault before each
 * arrival and each commit; then every two of them. Nothing is random here.
 */
import { defaultLimits } from "../../server/link/limits.ts";
import { DOWN, UP } from "../../bridge/testing/network.ts";
import { Random } from "../../bridge/testing/random.ts";
import { playWorld } from "./run.ts";
import type { DeviceKind, DevicePlan, DeviceTalk, Reading, Scenario } from "./scenario.ts";
import type { World } from "./world.ts";

const TIMEOUT = 400;

interface Variant {
  name: string;
  dialect: 1 | 2;
  key?: Uint8Array;
  /** Shares of the messages that wait, and of those without qos. */
  waits: number;
  qosOff: number;
  kind?: DeviceKind;
  reads?: readonly Reading[];
  transactions?: number;
  /** Share of those from the device that are lines of its log. */
  logs: number;
  /** Share of those to the device that have a deadline. */
  expiring?: number;
}

export const VARIANTS: readonly Variant[] = [
  { name: "dialect 2", dialect: 2, waits: 0, qosOff: 0, logs: 0 },
  { name: "dialect 2, some without qos", dialect: 2, waits: 0, qosOff: 0.5, logs: 0 },
  { name: "dialect 2, some expire", dialect: 2, waits: 0, qosOff: 0, logs: 0, expiring: 0.5 },
  { name: "dialect 2, some for the log", dialect: 2, waits: 0, qosOff: 0, logs: 0.5 },
  {
    name: "dialect 2, with a key",
    dialect: 2,
    key: new Uint8Array(32).fill(7),
    waits: 0,
    qosOff: 0,
    logs: 0,
  },
  { name: "dialect 2, a host", dialect: 2, waits: 0, qosOff: 0, logs: 0, kind: "host with memory" },
  {
    name: "consumed",
    dialect: 2,
    waits: 0,
    qosOff: 0,
    logs: 0,
    reads: ["consume"],
    transactions: 0.7,
  },
  { name: "dialect 1", dialect: 1, waits: 1, qosOff: 0, logs: 0 },
  { name: "dialect 1, some expire", dialect: 1, waits: 0, qosOff: 0, logs: 0, expiring: 0.5 },
  { name: "dialect 1, without waiting", dialect: 1, waits: 0, qosOff: 0, logs: 0 },
];

type Blow = (world: World) => void;

function sever(tellClient: boolean, tellServer: boolean): Blow {
  return ({ devices }) => devices[0]!.path.connections.at(-1)?.sever(tellClient, tellServer);
}

function boot(keepsMemory: boolean): Blow {
  return ({ devices }) => {
    const [device] = devices;
    device!.die({ keepsMemory, closes: false, off: 20, dialect: device!.dialect });
  };
}

function hole(...directions: (typeof UP | typeof DOWN)[]): Blow {
  return ({ devices, clock }) => {
    const { path } = devices[0]!;
    for (const direction of directions) path.unplug(direction);
    clock.after(2 * TIMEOUT, () => {
      for (const direction of directions) path.plug(direction);
    });
  };
}

/** The faults that can happen at a step. */
export const BLOWS: Readonly<Record<string, Blow>> = {
  "cut": sever(true, true),
  "cut, the device is not told": sever(false, true),
  "cut, the server is not told": sever(true, false),
  "cut, nobody is told": sever(false, false),
  "what was sent last is lost": hole(UP, DOWN),
  "nothing arrives at the server": hole(UP),
  "nothing arrives at the device": hole(DOWN),
  "the device boots, memory kept": boot(true),
  "the device boots, memory lost": boot(false),
  "the device dies before acting": ({ devices }) => void (devices[0]!.dies = "before acting"),
  "the device dies after acting": ({ devices }) => void (devices[0]!.dies = "after acting"),
  "another server takes the device": (world) => world.server.fence("A"),
  "the operator clears the device": (world) => world.operator.clear("A"),
  "the operator forgets the device": (world) => world.operator.forget("A"),
  "the server is killed": (world) => world.killServer(),
  "the server is killed before a commit": (world) => world.tearNextCommit("before"),
  "the server is killed after a commit": (world) => world.tearNextCommit("after"),
};

const KINDS = Object.keys(BLOWS);

interface Planned {
  step: number;
  kind: string;
}

interface Run {
  steps: number;
  violation: string | undefined;
}

/** Runs a variant with faults before certain steps. */
export async function explore(variant: Variant, plan: readonly Planned[]): Promise<Run> {
  let steps = 0;
  const prepare = (world: World) => {
    world.clock.onStep = () => {
      const step = steps++;
      for (const { step: planned, kind } of plan) if (planned === step) BLOWS[kind]!(world);
    };
  };
  const { violation } = await playWorld(new Random(1), scenarioOf(variant), { prepare });
  return { steps, violation };
}

function scenarioOf(
  { dialect, key, waits, qosOff, logs, expiring = 0, ...variant }: Variant,
): Scenario {
  const talk: DeviceTalk = {
    messages: 3,
    pause: 0,
    qosOff,
    waits,
    expiring,
    busy: 0,
    logs,
    long: 0,
    answers: 0,
    failures: 0,
    dropped: 0,
    told: 0,
  };
  const device: DevicePlan = {
    id: "A",
    dialect,
    key,
    suite: 3,
    metadata: "",
    kind: variant.kind ?? "chip",
    size: { line: 150, outbox: 600, inbox: 600, recent: 223, window: 64 },
    talk,
    serverTalk: talk,
    conditions: { latency: 5, jitter: 0, segment: Infinity, capacity: 4000, rate: Infinity },
    clockAhead: 0,
    firstNumber: 0,
    firstServerNumber: 0,
  };
  return {
    timeout: TIMEOUT,
    limits: { ...defaultLimits, lineBytes: 150 },
    lines: [],
    devices: [device],
    open: true,
    siege: false,
    stock: [],
    gather: 0,
    storeTime: 1,
    acquireTime: undefined,
    churns: false,
    onFile: false,
    reads: variant.reads ?? ["readline"],
    transactions: variant.transactions ?? 0,
    failures: 0,
    returns: 0,
    stubborn: 0,
    deadLetters: false,
    changesDialect: false,
    faults: [],
    faultPause: 1,
    faultsEnd: 0,
  };
}

/** Steps until everything has arrived if nothing goes wrong; then the link is only kept alive. */
const BUSY_STEPS = 26;

/** The second fault comes at most this many steps after the first, which has ended by then. */
const MENDING_STEPS = 20;

/** One share of the work: a variant with each kind of fault at one step. */
export interface Share {
  variant: number;
  step: number;
  /** With 2, each second fault at each later step as well. */
  depth: 1 | 2;
}

export interface Explored {
  runs: number;
  found: string[];
}

/** All shares of the work. */
export function shares(depth: 1 | 2): Share[] {
  return VARIANTS.flatMap((_, variant) =>
    Array.from({ length: BUSY_STEPS }, (_, step) => ({ variant, step, depth }))
  );
}

export async function exploreShare({ variant, step, depth }: Share): Promise<Explored> {
  const explored: Explored = { runs: 0, found: [] };
  for (const kind of KINDS) await deepen(explored, VARIANTS[variant]!, [{ step, kind }], depth);
  return explored;
}

async function deepen(
  explored: Explored,
  variant: Variant,
  plan: readonly Planned[],
  depth: number,
): Promise<void> {
  const { steps, violation } = await explore(variant, plan);
  explored.runs++;
  if (violation !== undefined) {
    const story = plan.map(({ step, kind }) => `${kind} at step ${step}`).join(", then ");
    explored.found.push(`${variant.name}: ${story}: ${violation}`);
    return;
  }
  if (plan.length === depth) return;
  const first = plan.at(-1)!.step;
  for (let step = first; step < Math.min(steps, first + MENDING_STEPS); step++) {
    for (const kind of KINDS) {
      await deepen(explored, variant, [...plan, { step, kind }], depth);
    }
  }
}
