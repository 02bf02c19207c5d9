/**
 * A thousand messages each way between the real server and a chip, through all that may happen to either. What
 * must come of it is in the table of promises (client-as/PROTOCOL.md).
 */
import { assert, assertEquals } from "@std/assert";
import { Server, type ServerOptions } from "../../server/mod.ts";
import type { SimBoard } from "../../bridge/esp8266/sim/board.ts";
import { compile } from "../support/compile.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/wait.ts";
import { chipTest, connects, isUp, plugIn } from "./support.ts";

const MESSAGES = 1000;
/** Of the server, in ms. */
const TIMEOUT = 1000;
const SPEED = 20;

/**
 * Sends a number every 200 ms, which is 10 ms here, as long as fewer than 8 are on their way; logs what it gets.
 * The numbers start over with each boot.
 */
const APPLICATION = `
export * from "../assembly/core";
import { begin, every, log, number, pending, QOS, send } from "../assembly/app";
let next = 0;
export function onStart(): void { every(200); }
export function onTick(): void {
  while (pending() < 8) {
    begin(11);
    number(next);
    if (!send(QOS)) return;
    next++;
  }
}
export function onMessage(ptr: usize, length: i32): void { log(ptr, length); }
`;

/** What one end must have seen: the numbers of each life of the chip. */
interface Account {
  /** What the server got, a list for each boot of the chip. */
  fromChip: number[][];
  /** What the chip's application got, with a mark at each boot. */
  toChip: (number | "boot")[];
}

interface World {
  board: SimBoard;
  proxy: FaultProxy;
  random: Random;
  /** Ends the server amid everything, and starts it again on its store. */
  restart: () => Promise<void>;
}

/** Something that happens; resolves when it is over. */
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
  "server restarted on its store": ({ restart }) => restart(),
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
  const account: Account = { fromChip: [], toChip: [] };
  let boots = 0;
  await using stack = new AsyncDisposableStack();
  const options: ServerOptions = {
    port: 0,
    hostname: "127.0.0.1",
    timeout: TIMEOUT,
    store: `${folder}/store.db`,
    ...(key ? { keys: [["chip", key]] } : { open: true }),
    app: async (device) => {
      for await (const line of device) {
        const number = Number(line);
        if (number === 0) account.fromChip.push([]); // a boot
        account.fromChip.at(-1)!.push(number);
      }
    },
  };
  let server = await Server.listen(options);
  stack.defer(() => server.close());
  const proxy = stack.use(await FaultProxy.start({ target: { port: server.port } }));
  const board = stack.use(
    await plugIn({
      application: { name: "numbers", wasm: await compile(APPLICATION) },
      id: "chip",
      port: proxy.port,
      speed: SPEED,
      settings: { timeout: TIMEOUT * SPEED, ...(key ? { key: Uint8Array.fromHex(key) } : {}) },
      onLine: (line) => {
        if (line.startsWith("holdfast: boot")) account.toChip.push("boot");
        if (line.startsWith("app: ")) account.toChip.push(Number(line.slice(5)));
        if (line.startsWith("holdfast: boot")) boots++;
      },
    }),
  );
  /** Messages that the server's application has written: each is in the store when `write` has been called. */
  let written = 0;
  let writing = true;
  const write = async () => {
    while (written < MESSAGES && writing) {
      const device = await server.device("chip");
      // Not waited for: it is the store's.
      device.write(String(written++), { wait: false }).catch(() => {});
      await until(() => written - received() < 16 || !writing, {
        what: "the chip to take messages",
      });
    }
  };
  const received = () => account.toChip.filter((item) => item !== "boot").length;
  let writer = write();
  const world: World = {
    board,
    proxy,
    random: new Random(7),
    restart: async () => {
      writing = false;
      await writer;
      await server.close();
      server = await Server.listen(options);
      proxy.retarget(server.port);
      writing = true;
      writer = write();
    },
  };
  const total = () => account.fromChip.reduce((sum, { length }) => sum + length, 0);
  const queue = Object.entries(faults).flatMap((fault) => [fault, fault]);
  if (reset) {
    const chipReset: Fault = async () => {
      const before = boots;
      board.reset("watchdog", { keep: reset === "kept" });
      await until(() => boots > before, { what: "the chip to boot" });
    };
    for (let at = 1; at < queue.length; at += 2) queue.splice(at, 0, ["watchdog reset", chipReset]);
  }
  for (const [n, [name, fault]] of queue.entries()) {
    const least = MESSAGES * n / (queue.length + 1);
    await until(() => total() >= least && received() >= least * 0.9, {
      timeout: 60_000,
      what: () =>
        `message ${least}, before "${name}": ${total()}, ${received()}\n${
          board.lines.slice(-5).join("\n")
        }`,
    });
    await fault(world);
    board.check();
  }
  await writer;
  const last = () => Math.max(...account.toChip.filter((item) => item !== "boot"));
  await until(() => total() >= MESSAGES && last() === MESSAGES - 1, {
    timeout: 60_000,
    what: () => `all of them: ${total()}, ${last()}\n${board.lines.slice(-5).join("\n")}`,
  });
  return account;
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

for (const secured of [false, true]) {
  const how = secured ? ", with a key" : "";
  chipTest(
    `1,000 messages each way through outages and restarts of the server: each once, in order${how}`,
    async () => {
      const { fromChip, toChip } = await exchange(
        secured ? { key: crypto.getRandomValues(new Uint8Array(32)).toHex() } : {},
      );
      assertEquals(fromChip.length, 1);
      assertEquals(fromChip[0], numbers(fromChip[0]!.length));
      assertEquals(toChip, ["boot", ...numbers(MESSAGES)]);
    },
  );
}

chipTest(
  "1,000 messages each way through watchdog resets that keep the position: each once, in order",
  async () => {
    const { fromChip, toChip } = await exchange({ reset: "kept" });
    const got = toChip.filter((item) => item !== "boot");
    assert(toChip.filter((item) => item === "boot").length > 3);
    // One that was with the application when the chip was reset, before its position was kept, comes again.
    const again = toChip.filter((item, at) =>
      item !== "boot" && toChip[at - 1] === "boot" && item === toChip[at - 2]
    );
    assertEquals([...new Set(got)], numbers(MESSAGES));
    assertEquals(got.length, MESSAGES + again.length);
    // Of what a life of the chip has written, the end may be missing, and nothing else.
    for (const life of fromChip) assertEquals(life, numbers(life.length));
  },
);

chipTest(
  "1,000 messages each way through watchdog resets that lose the position: none missing, in order",
  async () => {
    const { fromChip, toChip } = await exchange({ reset: "lost" });
    const got = toChip.filter((item) => item !== "boot");
    assertEquals([...new Set(got)].sort((a, b) => a - b), numbers(MESSAGES));
    // Nothing comes twice within a life: what comes again was taken before a reset, and the server did not know.
    let life: number[] = [];
    for (const item of [...toChip, "boot"]) {
      if (item !== "boot") life.push(item as number);
      else {
        for (const [at, number] of life.entries()) {
          if (at > 0) assertEquals(number, life[at - 1]! + 1);
        }
        life = [];
      }
    }
    for (const life of fromChip) assertEquals(life, numbers(life.length));
  },
);
