/**
 * A thousand messages each way between the real server's process and a chip, through all kinds of faults. The table of
 * promises (client-as/PROMISES.md) says what must hold.
 */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals } from "@std/assert";
import type { Emulator } from "../../bridge/esp8266/emulator/emulator.ts";
import { checkBoots, checkTakenAgain } from "../support/boots.ts";
import { compile } from "../support/compile.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { ServerProcess } from "../support/server_process.ts";
import { until } from "../support/wait.ts";
import { chipTest, connects, isUp, plugIn } from "./support.ts";

const MESSAGES = 1000;
/** The server's timeout in ms. */
const TIMEOUT = 1000;
const SPEED = 20;

/**
 * Sends numbers every 200 ms, which are 10 ms here, as long as fewer than 8 are on their way; logs what it gets. The
 * numbers restart with each boot, which a random number identifies.
 */
const APPLICATION = `
export * from "../assembly/core";
import { begin, every, log, number, pending, QOS, random, send, text } from "../assembly/app";
let boot: i32 = 0;
let next = 0;
export function onStart(): void {
  boot = random() & 0x7fffffff;
  every(200);
}
export function onTick(): void {
  while (pending() < 8) {
    begin(24);
    number(boot);
    text(" ");
    number(next);
    if (!send(QOS)) return;
    next++;
  }
}
export function onMessage(ptr: usize, length: i32): void { log(ptr, length); }
`;

/** Messages that both ends have seen. */
interface Account {
  /** Messages that the server has processed, in order: "boot number". Each was answered in the same transaction. */
  processed: string[];
  /** For each boot of the chip, the answers that its application got. */
  answered: string[][];
  /** How often the server was killed. */
  kills: number;
}

interface World {
  board: Emulator;
  proxy: FaultProxy;
  random: Random;
  /** Kills the server in the middle of its work, and starts another on its store. */
  killServer: () => Promise<void>;
}

/** A fault; resolves when it is over. */
type Fault = (world: World) => Promise<void> | void;

const faults: Record<string, Fault> = {
  "connection reset": ({ proxy }) => proxy.reset(),
  "black hole": async ({ board, proxy }) => {
    const before = connects(board);
    proxy.blackhole();
    await until(() => !isUp(board), { what: "the outage to be noticed" });
    proxy.restore({ drop: true });
    await until(() => connects(board) > before, { what: "the link to be back" });
  },
  "WiFi lost": async ({ board }) => {
    const before = board.joins;
    board.loseWifi();
    await until(() => board.joins > before, { what: "WiFi to be joined again" });
  },
  "WiFi gone for a while": async ({ board, random }) => {
    board.wifi = random.pick(["not-found", "refused", "wrong-password"]);
    const before = board.joins;
    board.loseWifi();
    await until(() => board.joins >= before + 3, { what: "three joins" });
    board.wifi = "up";
  },
  "server killed": ({ killServer }) => killServer(),
};

async function exchange(
  { reset, key }: { reset?: "kept" | "lost"; key?: string },
): Promise<Account> {
  const folder = await Deno.makeTempDir();
  try {
    return await run(folder, reset, key);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(folder: string, reset?: "kept" | "lost", key?: string): Promise<Account> {
  const answered: string[][] = [];
  await using stack = new AsyncDisposableStack();
  const [store, keys] = [`${folder}/store.db`, `${folder}/keys.json`];
  await Deno.writeTextFile(keys, JSON.stringify(key ? { chip: key } : {}), { mode: 0o600 });
  let server: ServerProcess;
  const start = async (): Promise<number> => {
    server = new ServerProcess({ store, keys, timeout: TIMEOUT, durability: "full" });
    const port = await server.listening;
    assert(port !== undefined, `the server does not start: ${server.complaints.join("\n")}`);
    return port;
  };
  const stop = async (how: "kill" | "stop") => {
    await server[how]();
    assertEquals(server.complaints, []);
  };
  const first = start();
  stack.defer(() => server[Symbol.asyncDispose]());
  const proxy = stack.use(await FaultProxy.start({ target: { port: await first } }));
  proxy.delay(20); // so that acks are always on their way
  let total = 0;
  const board = stack.use(
    await plugIn({
      application: { name: "numbers", wasm: await compile(APPLICATION) },
      id: "chip",
      port: proxy.port,
      speed: SPEED,
      settings: { timeout: TIMEOUT * SPEED, ...(key ? { key: Uint8Array.fromHex(key) } : {}) },
      onLine: (line) => {
        if (line.startsWith("holdfast: boot")) answered.push([]);
        const [, answer] = line.match(/^app: re (.*)/) ?? [];
        if (answer === undefined) return;
        answered.at(-1)!.push(answer);
        total++;
      },
    }),
  );
  let kills = 0;
  const world: World = {
    board,
    proxy,
    random: new Random(7),
    killServer: async () => {
      await stop("kill");
      kills++;
      proxy.retarget(await start());
    },
  };
  const queue = Object.entries(faults).flatMap((fault) => [fault, fault]);
  if (reset) {
    const chipReset: Fault = async () => {
      const before = answered.length;
      proxy.reset(); // the acks on their way are lost, so that what the chip forgets becomes visible
      board.reset("watchdog", { keep: reset === "kept" });
      await until(() => answered.length > before, { what: "the chip to boot" });
    };
    for (let at = 1; at < queue.length; at += 2) queue.splice(at, 0, ["watchdog reset", chipReset]);
  }
  const answers = async (least: number, before: string) => {
    await until(() => total >= least, {
      timeout: 60_000,
      what: () => `answer ${least}, ${before}: ${total}\n${board.lines.slice(-5).join("\n")}`,
    });
  };
  for (const [n, [name, fault]] of queue.entries()) {
    await answers(MESSAGES * n / (queue.length + 1), `before "${name}"`);
    await fault(world);
    board.check();
  }
  // Duplicates do not count.
  await answers(MESSAGES + 100, "at the end");
  await stop("stop");
  using db = new DatabaseSync(store, { readOnly: true });
  const rows = db.prepare("SELECT line FROM processed ORDER BY position").all();
  return { processed: rows.map(({ line }) => String(line)), answered, kills };
}

/** Messages from the chip: only the last ones of a boot may be missing, if it was reset. */
function checkProcessed({ processed, answered, kills }: Account): void {
  assert(kills > 1 && processed.length >= MESSAGES);
  assert(checkBoots(processed) <= answered.length);
}

for (const secured of [false, true]) {
  const how = secured ? ", with a key" : "";
  chipTest(
    `1,000 messages each way through outages and kills of the server: each once, in order${how}`,
    async () => {
      const account = await exchange(
        secured ? { key: crypto.getRandomValues(new Uint8Array(32)).toHex() } : {},
      );
      checkProcessed(account);
      const { processed, answered: [got = [], ...more] } = account;
      assertEquals(more, [], "one boot");
      assert(got.length >= MESSAGES);
      assertEquals(got, processed.slice(0, got.length));
    },
  );
}

chipTest(
  "1,000 messages each way through watchdog resets that keep the position: each once, in order",
  async () => {
    const account = await exchange({ reset: "kept" });
    checkProcessed(account);
    const { processed, answered } = account;
    assert(answered.length > 4);
    let taken = 0;
    for (const got of answered) {
      // A message that the application had when the chip was reset, before its position was saved, comes again.
      if (taken > 0 && got[0] === processed[taken - 1]) taken--;
      assertEquals(got, processed.slice(taken, taken += got.length));
    }
    assert(taken >= MESSAGES);
  },
);

chipTest(
  "1,000 messages each way through watchdog resets that lose the position: none missing, in order",
  async () => {
    const account = await exchange({ reset: "lost" });
    checkProcessed(account);
    const { processed, answered } = account;
    assert(answered.length > 4);
    const { taken, again } = checkTakenAgain(processed, answered);
    assert(taken >= MESSAGES);
    assert(again > answered.length, "more messages come again than with a kept position");
  },
);
