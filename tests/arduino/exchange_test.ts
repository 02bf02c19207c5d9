/**
 * The library on a PC, with hostile sockets, and a real server process, through a network that fails. At the end,
 * compares what both ends saw; the table of promises says what must hold (client-as/PROMISES.md).
 */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals } from "@std/assert";
import { checkBoots, checkTakenAgain } from "../support/boots.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { ServerProcess } from "../support/server_process.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { buildSketch } from "./build.ts";
import { Sketch } from "./sketch.ts";

const MESSAGES = 2000;
/** The link's timeout, in ms. */
const TIMEOUT = 600;
const GPP = { "g++": "g++" };
/** Nobody listens there. */
const NOBODY = "127.0.0.1:9";
/** The millisecond counter wraps 5 s after the start of the program. */
const WRAPS = `${2 ** 32 - 5000}`;

/** What both ends saw. */
interface Account {
  /** What the server processed, in order: "boot number". It answered each in the same transaction. */
  processed: string[];
  /** What the board printed, for each run between two resets. */
  lives: string[][];
}

/** What a test can break. */
interface World {
  proxy: FaultProxy;
  random: Random;
  sketch: () => Sketch;
  killServer: () => Promise<void>;
  reset: () => Promise<void>;
}

type Fault = (world: World) => Promise<void> | void;

const isUp = (sketch: Sketch) =>
  sketch.lines.findLast((line) => line === "up" || line.startsWith("down")) === "up";

const faults: Record<string, Fault> = {
  "connection reset": ({ proxy }) => proxy.reset(),
  "half-open": ({ proxy }) => proxy.halfOpen(),
  "black hole": async ({ proxy, random, sketch }) => {
    await until(() => isUp(sketch()), { what: "a link" });
    proxy.blackhole(random.pick(["up", "down", "both"]));
    await until(() => !isUp(sketch()), { what: () => `the outage: ${sketch().story}` });
    proxy.restore({ drop: random.once(2) });
  },
  "small pieces": async ({ proxy, random }) => {
    proxy.split(random.int(1, 40));
    await new Promise((resolve) => setTimeout(resolve, 300)); // how long this fault lasts
    proxy.split(undefined);
  },
  "server killed": ({ killServer }) => killServer(),
};

interface Exchange {
  /** Whether the position survives a reset; undefined: the board is never reset. */
  position?: "kept" | "lost";
  messages: number;
  /** Sealed by default. */
  suite?: "02" | "03" | "04";
}

async function exchange(
  program: string,
  { position, messages, suite = "03" }: Exchange,
): Promise<Account> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const key = crypto.getRandomValues(new Uint8Array(32)).toHex();
  const [store, keys] = [`${folder}/store.db`, `${folder}/keys.json`];
  await Deno.writeTextFile(
    keys,
    JSON.stringify({ board: suite === "02" ? key : `${suite}:${key}` }),
    {
      mode: 0o600,
    },
  );
  let server: ServerProcess;
  const start = async (): Promise<number> => {
    server = new ServerProcess({ store, keys, timeout: TIMEOUT, durability: "full" });
    const port = await server.listening;
    assert(port !== undefined, `the server did not start: ${server.complaints.join("\n")}`);
    return port;
  };
  stack.defer(() => server?.[Symbol.asyncDispose]());
  const proxy = stack.use(await FaultProxy.start({ target: { port: await start() } }));
  proxy.delay(5); // so that acks are always in flight

  const seed = Math.floor(Math.random() * 2 ** 31) + 1;
  const lives: string[][] = [];
  let total = 0;
  const plugIn = () => {
    const life = new Sketch(program, {
      HOLDFAST_HOSTS: `${NOBODY},127.0.0.1:${proxy.port}`,
      HOLDFAST_KEY: key,
      HOLDFAST_SUITE: suite,
      HOLDFAST_TIMEOUT: `${TIMEOUT}`,
      HOLDFAST_MS: WRAPS,
      HOLDFAST_SEED: `${seed + lives.length}`,
      ...(position === "kept" ? { HOLDFAST_RTC: `${folder}/rtc` } : {}),
    }, (line) => total += line.startsWith("got ") ? 1 : 0);
    lives.push(life.lines);
    return life;
  };
  let sketch = plugIn();
  stack.defer(() => sketch[Symbol.asyncDispose]());
  const world: World = {
    proxy,
    random: new Random(seed),
    sketch: () => sketch,
    killServer: async () => {
      await server.kill();
      assertEquals(server.complaints, [], `the server reported errors, seed ${seed}`);
      proxy.retarget(await start());
    },
    reset: async () => {
      if (world.random.once(2)) proxy.reset(); // drops the acks in flight, so that what the board forgot matters
      await sketch.kill();
      sketch = plugIn();
    },
  };
  const queue = Object.entries(faults).flatMap((fault) => [fault, fault]);
  if (position) {
    for (let at = 1; at < queue.length; at += 2) {
      queue.splice(at, 0, ["reset", ({ reset }) => reset()]);
    }
  }
  const answers = (least: number, before: string) =>
    until(() => {
      sketch.check();
      return total >= least;
    }, {
      timeout: 60_000,
      what: () => `answer ${least} ${before}, seed ${seed}: ${total}\n${sketch.story}`,
    });
  for (const [n, [name, fault]] of queue.entries()) {
    await answers(messages * n / (queue.length + 1), `before "${name}"`);
    await fault(world);
  }
  await answers(messages * 1.05, "at the end"); // duplicates do not count
  await sketch.kill();
  await server!.stop();
  assertEquals(server!.complaints, [], `the server reported errors at the end, seed ${seed}`);
  using db = new DatabaseSync(store, { readOnly: true });
  const rows = db.prepare("SELECT line FROM processed ORDER BY position").all();
  return { processed: rows.map(({ line }) => String(line)), lives };
}

/** Board to server: only the last messages before a reset may be missing. */
function checkProcessed({ processed, lives }: Account, messages: number): void {
  assert(processed.length >= messages, `${processed.length} were processed`);
  assert(checkBoots(processed) <= lives.length);
}

/** Texts that reached the handler in one run, without the "re" in front. */
const gotBy = (life: string[]) =>
  life.filter((line) => line.startsWith("got ")).map((line) => line.slice("got re ".length));

/** Checks both directions of a board that is never reset. */
function checkOneLife(account: Account): void {
  checkProcessed(account, MESSAGES);
  const { processed, lives: [life = [], ...more] } = account;
  assertEquals(more, [], "the board was reset");
  const got = gotBy(life);
  assert(got.length >= MESSAGES);
  assertEquals(got, processed.slice(0, got.length), "wrong answers");
  assert(life.filter((line) => line === "up").length > 6);
}

/** Each test: what happens, and what must hold. */
const trials: Record<string, (program: string) => Promise<void>> = {
  "with proof, outages and a killed server: each message arrives once, in order": async (program) =>
    checkOneLife(await exchange(program, { messages: MESSAGES, suite: "02" })),
  "sealed, outages and a killed server: each message arrives once, in order": async (program) =>
    checkOneLife(await exchange(program, { messages: MESSAGES })),
  "with forward secrecy, outages and a killed server: each message arrives once, in order": async (
    program,
  ) => checkOneLife(await exchange(program, { messages: MESSAGES, suite: "04" })),
  "resets that keep the position: each message arrives once, in order": async (program) => {
    const account = await exchange(program, { messages: MESSAGES, position: "kept" });
    checkProcessed(account, MESSAGES);
    const { processed, lives } = account;
    assert(lives.length > 4);
    let taken = 0;
    let torn = false; // the board was reset after its handler returned and before the position was stored
    for (const life of lives) {
      const got = gotBy(life);
      if (torn && got.length > 0 && got[0] === processed[taken - 1]) taken--;
      assertEquals(got, processed.slice(taken, taken += got.length));
      const last = life.findLast((line) => line.startsWith("got ") || line.startsWith("kept "));
      if (last !== undefined) torn = last.startsWith("got ");
    }
    assert(taken >= MESSAGES);
  },
  "resets that lose the position: no message is missing, and the order holds": async (program) => {
    const account = await exchange(program, { messages: MESSAGES, position: "lost" });
    checkProcessed(account, MESSAGES);
    const { processed, lives } = account;
    assert(lives.length > 4);
    const { taken, again } = checkTakenAgain(processed, lives.map(gotBy));
    assert(taken >= MESSAGES);
    assert(again > 0, "no message was repeated, so this test shows nothing about the memory");
  },
};

toolTest(`${MESSAGES} messages each way`, GPP, async (tools, t) => {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-arduino-" });
  try {
    const program = `${folder}/exchange`;
    await buildSketch(tools["g++"], new URL("exchange.cpp", import.meta.url).pathname, program);
    for (const [name, trial] of Object.entries(trials)) await t.step(name, () => trial(program));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
