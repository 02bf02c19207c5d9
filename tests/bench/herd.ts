/**
 * Thousands of idle devices: their cost, and whether they connect and stay connected.
 *
 * @module
 */
import { TIMEOUT } from "./herd_device.ts";
import { type Found, type Pace, RATE, runHerd, type Runner } from "./herd_run.ts";
import { Busy, Contestant, mostHandles } from "./processes.ts";
import { type Aim, progress, type Section } from "./report.ts";

/** Handles that a process needs besides its sockets. */
const OTHER_HANDLES = 256;

const PACE: Pace = { settle: 4000, idle: 10_000, write: 10_000, gather: 40_000 };

/** Memory of each in KB, share of a core in percent, times in ms. */
const AIMS = { memory: 16, idle: 40, up: 5000, p99: 100 };

/** One server's herd. */
interface Run {
  server: string;
  holdfast: boolean;
  /** Whether another process keeps one core busy. */
  busy: boolean;
  found: Found;
}

/** The servers; the store of each is in `folder`. */
export function runners(devices: number, folder: string): Runner[] {
  const keepalive = ["--keepalive", `${TIMEOUT / 4}`];
  const holdfast = ["--timeout", `${TIMEOUT}`, "--store", `${folder}/herd.db`].concat(
    ["--limit", `connections=${devices * 2}`, "--limit", `devices=${devices + 100}`],
  );
  return [
    {
      name: "bare",
      start: (port) => Contestant.bare(["--port", `${port}`, ...keepalive]),
      holdfast: false,
    },
    {
      name: "bare, node:net",
      start: (port) => Contestant.bareNet(["--port", `${port}`, ...keepalive]),
      holdfast: false,
    },
    {
      name: "holdfast",
      start: (port) => Contestant.holdfast(["--port", `${port}`, ...holdfast]),
      holdfast: true,
    },
  ];
}

/**
 * Runs herds of this many devices, or as many as the limit of open files allows, against one server after the other.
 */
export async function measureHerd(wanted: number): Promise<Section[]> {
  const devices = Math.min(wanted, await mostHandles() - OTHER_HANDLES);
  if (devices < wanted) progress(`${devices} devices: no more files may be open`);
  const runs: Run[] = [];
  for (const busy of [false, true]) {
    const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
    try {
      for (const runner of runners(devices, folder)) {
        const { name, holdfast } = runner;
        progress(`${devices} devices, ${name}${busy ? ", beside a busy process" : ""}`);
        await using _busy = busy ? new Busy() : undefined;
        runs.push({ server: name, holdfast, busy, found: await runHerd(runner, devices, PACE) });
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
  return report(runs, devices);
}

const who = [
  { key: "server", title: "server" },
  { key: "beside", title: "beside it" },
];

/** Two tables: the cost of idle devices, and messages from them. */
export function report(runs: Run[], devices: number): Section[] {
  const rows = runs.map(({ server, busy, found }) => ({
    ...found,
    server,
    beside: busy ? "a busy process" : "nothing",
    up: seconds(found.up),
    back: seconds(found.back),
    lost: sum(found.lost),
  }));
  const many = devices.toLocaleString("en");
  return [
    {
      title: `${many} idle devices, timeout ${TIMEOUT} ms`,
      columns: [
        ...who,
        { key: "memory", title: "memory of each, KB", digits: 1 },
        { key: "idle", title: "% of a core", digits: 1 },
        { key: "up", title: "all up after, s", digits: 2 },
        { key: "back", title: "after a SIGKILL, s", digits: 2 },
        { key: "left", title: "up in the end" },
        { key: "attempts", title: "attempts to connect" },
        { key: "herdIdle", title: "load's % of a core", digits: 1 },
      ],
      rows,
      aims: runs.filter((run) => run.holdfast).flatMap((run) => idleAims(run, devices)),
    },
    {
      title: `${RATE} messages/s from ${many} devices, and links lost in the whole run`,
      columns: [
        ...who,
        { key: "p50", title: "p50 ms", digits: 1 },
        { key: "p99", title: "p99 ms", digits: 1 },
        { key: "missing", title: "without an ack" },
        { key: "writing", title: "% of a core", digits: 1 },
        { key: "lost", title: "links lost" },
        { key: "blamed", title: "SILENT, STALLED, NO_HELLO" },
        { key: "herdWriting", title: "load's % of a core", digits: 1 },
        { key: "heldUp", title: "load held up, ms" },
      ],
      rows,
      aims: runs.filter((run) => run.holdfast).flatMap((run) => writingAims(run, devices)),
    },
  ];
}

/** Beside a busy process the machine is slower: there the herd must connect and stay connected, however slowly. */
function idleAims({ busy, found }: Run, devices: number): Aim[] {
  const many = `${devices.toLocaleString("en")} devices`;
  const { memory = NaN, idle = NaN, up = NaN, back = NaN } = found;
  const inTime = (what: string, ms: number) => {
    const limit = busy ? PACE.gather : AIMS.up;
    return {
      what: `${many} ${what}${busy ? ", beside a busy process" : ""}`,
      aim: `within ${limit / 1000} s`,
      measured: Number.isNaN(ms) ? "never" : `${(ms / 1000).toFixed(2)} s`,
      met: ms <= limit,
    };
  };
  const times = [inTime("come at once", up), inTime("come back after a SIGKILL", back)];
  if (busy) return times;
  return [
    {
      what: `memory of each of ${many}`,
      aim: `at most ${AIMS.memory} KB`,
      measured: `${memory.toFixed(1)} KB`,
      met: memory <= AIMS.memory,
    },
    {
      what: `processor time for ${many}, idle`,
      aim: `at most ${AIMS.idle} % of a core`,
      measured: `${idle.toFixed(1)} %`,
      met: idle <= AIMS.idle,
    },
    ...times,
  ];
}

function writingAims({ busy, found }: Run, devices: number): Aim[] {
  const many = `${devices.toLocaleString("en")} devices`;
  const { lost, blamed, p99 = NaN, missing, heldUp } = found;
  const late = heldUp < TIMEOUT / 2 ? "" : `; the load was held up for ${Math.round(heldUp)} ms`;
  const links = {
    what: `links lost of ${many}${busy ? ", beside a busy process" : ""}`,
    aim: "0",
    measured: `${sum(lost)}, and ${blamed} in the log${late}`,
    met: sum(lost) === 0 && blamed === 0,
  };
  if (busy) return [links];
  return [links, {
    what: `${RATE} messages/s from ${many}`,
    aim: `p99 at most ${AIMS.p99} ms`,
    measured: missing > 0 ? `${missing} without an ack` : `${p99.toFixed(1)} ms`,
    met: missing === 0 && p99 <= AIMS.p99,
  }];
}

function sum({ early, closed, silent }: Found["lost"]): number {
  return early + closed + silent;
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
