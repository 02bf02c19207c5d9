/**
 * The cost of channels compared with plain lines, and what is sent after an outage.
 *
 * @module
 */
import type { AnswererOrder, Sent } from "./channel_load.ts";
import type { Answered, ChannelOrder, SetIn } from "./channel_server.ts";
import { Contestant, Loader } from "./processes.ts";
import { type Aim, median, progress, type Section } from "./report.ts";

/** What devices report, by the first word of their ids; the first is the reference. */
const UP = [
  { what: "lines, readline", kind: "lines", says: "lines" },
  { what: "lines, consume", kind: "consumed", says: "lines" },
  { what: "reports", kind: "reports", says: "reports" },
  { what: "reports, with a handler", kind: "handled", says: "reports" },
] as const;

/** What the server sends and gets answered. */
const DOWN = [
  { what: "lines and their echoes", kind: "lines", do: "lines" },
  { what: "settings, set to met", kind: "things", do: "settings" },
  { what: "requests, answered", kind: "things", do: "requests" },
] as const;

const CONNECTIONS = 100;
const WINDOW = 16;
/** For the answered ones: number of devices, and messages under way to each. */
const ANSWERERS = 20;
const TO_EACH = 8;

const TURN_MS = 500;
const WARM_UP_MS = 100;

const SETTINGS = 100_000;

/** The least rate of channels, relative to plain lines. */
const AIM = 0.7;

interface Turn {
  rate: number;
  p50: number;
  p99: number;
  /** Processor time of the server, in µs per message. */
  cpu: number | undefined;
}

type Row = Section["rows"][number];

/** Lets lines and channels take turns with the same server, on each store. */
export async function measureChannels(loader: Loader, rounds: number): Promise<Section[]> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-bench-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const up: Row[] = [], down: Row[] = [], after: Row[] = [];
  for (
    const [store, ...options] of [
      ["memory"],
      ["sqlite, normal", "--store", `${folder}/normal.db`, "--durability", "normal"],
      ["sqlite, full", "--store", `${folder}/full.db`],
    ] as [string, ...string[]][]
  ) {
    await using server = await Contestant.script(store, "channel_server.ts", options);
    await using answerers = await Contestant.script("answerers", "channel_load.ts", []);
    up.push(...await take(store, UP, rounds, (it) => turnUp(server, loader, it)));
    down.push(
      ...await take(store, DOWN, rounds, ({ kind, do: what }) => {
        const load = { ids: idsOf(kind, ANSWERERS), do: what };
        return turnDown(server, answerers, load, TO_EACH, TURN_MS);
      }),
    );
    progress(`${SETTINGS} settings in an outage, ${store}`);
    after.push({ store, ...await outage(server, answerers, SETTINGS) });
  }
  return [
    table(`Channels up, ${CONNECTIONS} connections × ${WINDOW} in flight`, up, "reports"),
    table(
      `Channels down, ${ANSWERERS} devices × ${TO_EACH} under way`,
      down,
      "settings, set to met",
    ),
    {
      title: `${SETTINGS.toLocaleString("en")} settings of ten channels in an outage`,
      columns: [
        { key: "store", title: "store" },
        { key: "ms", title: "all safe after, ms" },
        { key: "messages", title: "messages that travel then" },
        { key: "bytes", title: "bytes of these" },
      ],
      rows: after,
      aims: [],
    },
  ];
}

/** Each takes its turn, round by round. The first is the reference for the others. */
async function take<What extends { what: string }>(
  store: string,
  loads: readonly What[],
  rounds: number,
  turn: (load: What) => Promise<Turn>,
): Promise<Row[]> {
  const turns = new Map<What, Turn[]>(loads.map((load) => [load, []]));
  for (let round = -1; round < rounds; round++) { // the first is for the compilers
    for (const load of loads) {
      progress(`${load.what}, ${store}, round ${round + 1} of ${rounds}`);
      const result = await turn(load);
      if (round >= 0) turns.get(load)!.push(result);
    }
  }
  const lines = turns.get(loads[0]!)!;
  return Array.from(turns, ([{ what }, own]) => ({
    store,
    what,
    rate: median(own.map(({ rate }) => rate)),
    toLines: median(own.map(({ rate }, round) => rate / lines[round]!.rate)),
    p50: median(own.map(({ p50 }) => p50 / 1000)),
    p99: median(own.map(({ p99 }) => p99 / 1000)),
    cpu: median(own.map(({ cpu }) => cpu ?? NaN)),
  }));
}

function idsOf(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${kind} ${i}`);
}

/** Measures the server's processor time meanwhile. */
async function watch<T extends { rate: number }>(server: Contestant, run: () => Promise<T>) {
  const before = await server.usage();
  const start = performance.now();
  const result = await run();
  const wall = performance.now() - start;
  const after = await server.usage();
  const share = before && after && (after.cpu - before.cpu) * 1000 / wall;
  return { ...result, cpu: share && share / result.rate * 1e6 };
}

async function turnUp(
  server: Contestant,
  loader: Loader,
  { kind, says }: (typeof UP)[number],
): Promise<Turn> {
  await loader.open(server.port, idsOf(kind, CONNECTIONS), 2, { says });
  const turn = await watch(server, () => loader.run(WINDOW, WARM_UP_MS, TURN_MS));
  await loader.close();
  return turn;
}

/** Lets these devices answer, with this many requests under way to each. */
export async function turnDown(
  server: Contestant,
  answerers: Contestant,
  load: { ids: string[]; do: "lines" | "settings" | "requests" },
  window: number,
  ms: number,
): Promise<Turn> {
  await tell<unknown>(answerers, { do: "open", port: server.port, ids: load.ids });
  const turn = await watch(server, () => tell<Answered>(server, { ...load, window, ms }));
  await tell<unknown>(answerers, { do: "close" });
  return turn;
}

/** A device leaves, its channels are set again and again, and it comes back. */
export async function outage(
  server: Contestant,
  answerers: Contestant,
  settings: number,
): Promise<SetIn & Sent> {
  const ids = ["things away"];
  const open: AnswererOrder = { do: "open", port: server.port, ids };
  await tell<unknown>(answerers, open);
  await tell<unknown>(answerers, { do: "close" });
  const set = await tell<SetIn>(server, { do: "outage", id: ids[0]!, settings });
  await tell<unknown>(answerers, open);
  // An answered request was sent after all settings.
  await tell<Answered>(server, { do: "requests", ids, window: 1, ms: 500 });
  const { messages, bytes } = await tell<Sent>(answerers, { do: "close" });
  return { ...set, messages, bytes };
}

async function tell<T>(process: Contestant, order: ChannelOrder | AnswererOrder): Promise<T> {
  const answer = process.expect((line) => line.startsWith("{") ? JSON.parse(line) as T : undefined);
  await process.tell(JSON.stringify(order));
  return await answer;
}

function table(title: string, rows: Row[], what: string): Section {
  const aims: Aim[] = rows.filter((row) => row.what === what).map(({ store, toLines }) => ({
    what: `${what}, to plain lines, ${store}`,
    aim: `${AIM} ×`,
    measured: `${Number(toLines).toFixed(2)} ×`,
    met: Number(toLines) >= AIM,
  }));
  return {
    title,
    columns: [
      { key: "store", title: "store" },
      { key: "what", title: "what" },
      { key: "rate", title: "a second" },
      { key: "toLines", title: "to plain lines", digits: 2 },
      { key: "p50", title: "p50 ms", digits: 1 },
      { key: "p99", title: "p99 ms", digits: 1 },
      { key: "cpu", title: "server's CPU, µs each", digits: 2 },
    ],
    rows,
    aims,
  };
}
