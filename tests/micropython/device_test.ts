/**
 * The client of bridge/micropython against the real server, behind a network that fails. Under CPython, and under the
 * MicroPython that HOLDFAST_MICROPYTHON names, if it is set.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { Server } from "../../server/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { ServerProcess } from "../support/server_process.ts";
import { until } from "../support/wait.ts";
import { PythonProcess } from "./python_process.ts";
import { interpreters } from "./interpreters.ts";

const KEY = "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f";
/** The link's timeout, in ms. */
const TIMEOUT = 500;
const MESSAGES = 2000;
/** Fewer, because CPython has no cipher in machine code. */
const SEALED_MESSAGES = 600;
/** A test that takes longer fails. In ms. */
const PATIENCE = 150_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Injects one network fault after the other, until `over`. */
async function faults(proxy: FaultProxy, random: Random, over: () => boolean): Promise<void> {
  while (!over()) {
    await pause(random.int(100, 1500));
    const kind = random.int(0, 4);
    if (kind === 0) proxy.reset();
    else if (kind === 1) proxy.halfOpen();
    else if (kind === 2) proxy.split(random.int(1, 5));
    else if (kind === 3) proxy.split(undefined);
    else {
      proxy.blackhole(random.pick(["up", "down", "both"]));
      await pause(random.int(50, 2 * TIMEOUT));
      proxy.restore({ drop: random.once(2) });
    }
  }
  proxy.split(undefined);
}

/** `${before}0`, `${before}1` … */
function numbers(count: number, before = "up "): string[] {
  return Array.from({ length: count }, (_, n) => `${before}${n}`);
}

/** How to repeat a run and its last lines, for a failed test's message. */
function story(seed: number, { said, trouble }: PythonProcess): string {
  return `seed ${seed}; ${said.slice(-3).join(", ")}\n${trouble}`;
}

for (const [name, path] of interpreters()) {
  for (const [suite, messages] of [[2, MESSAGES], [3, SEALED_MESSAGES]] as const) {
    Deno.test(`${name}: ${messages} messages each way ${suite === 3 ? "sealed" : "with proof"} through network faults and kills of the server`, async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const random = new Random(seed);
      const folder = await Deno.makeTempDir({ prefix: "holdfast-micropython-" });
      const [store, keys] = [`${folder}/store.db`, `${folder}/keys`];
      await Deno.writeTextFile(keys, JSON.stringify({ 1: KEY }), { mode: 0o600 });
      const start = () =>
        new ServerProcess({ store, keys, timeout: TIMEOUT, durability: "normal" });
      const complaints: string[] = [];
      let server = start();
      try {
        await using proxy = await FaultProxy.start({
          target: { port: (await server.listening)! },
          seed,
        });
        const settings = {
          port: proxy.port,
          key: KEY,
          suite,
          timeout: TIMEOUT,
          messages: messages,
        };
        await using life = PythonProcess.device(path, { ...settings, window: 32 });
        const arrived = () => life.all("got").length;
        const over = () => arrived() >= messages || life.trouble !== "";
        const failing = faults(proxy, random, over);
        while (!over()) {
          const next = arrived() + random.int(200, 600);
          await until(() => arrived() >= Math.min(next, messages) || over(), {
            timeout: PATIENCE,
            what: () => `message ${next}; ${story(seed, life)}`,
          });
          if (over()) break;
          await server.kill();
          complaints.push(...server.complaints);
          server = start();
          proxy.retarget((await server.listening)!);
        }
        await failing;
        await until(() => life.all("sent").length === messages || life.trouble !== "", {
          timeout: PATIENCE,
          what: () => story(seed, life),
        });
        assertEquals(life.all("got"), numbers(messages, "re up "), story(seed, life));
        assertEquals(life.all("sent").length, messages);
        await server.stop();
        complaints.push(...server.complaints);
        assertEquals(complaints, []);
        const database = new DatabaseSync(store);
        const processed = database.prepare("SELECT line FROM processed ORDER BY position").all();
        database.close();
        assertEquals(processed.map(({ line }) => line), numbers(messages), `seed ${seed}`);
      } finally {
        await server[Symbol.asyncDispose]();
        await Deno.remove(folder, { recursive: true });
      }
    });
  }

  for (const isKept of [true, false]) {
    Deno.test(`${name}: no message is lost while a device is killed again and again, its position ${isKept ? "kept" : "lost"}`, async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const random = new Random(seed);
      const folder = await Deno.makeTempDir({ prefix: "holdfast-micropython-" });
      await using server = await Server.listen({
        hostname: "127.0.0.1",
        port: 0,
        keys: [["1", KEY]],
        timeout: TIMEOUT,
        limits: { inbox: 64 },
      });
      await using proxy = await FaultProxy.start({ target: { port: server.port }, seed });
      const heard: string[] = [];
      const lives: PythonProcess[] = [];
      let first = 0;
      let ended = false;
      const failing = faults(proxy, random, () => ended);
      try {
        const live = () => {
          const life = PythonProcess.device(path, {
            port: proxy.port,
            key: KEY,
            timeout: TIMEOUT,
            messages: MESSAGES,
            first,
            ...(isKept ? { memory: `${folder}/position` } : {}),
          });
          lives.push(life);
          return life;
        };
        let life = live();
        const device = await server.device("1");
        const reading = (async () => {
          for await (const line of device) heard.push(line);
        })();
        const texts = numbers(MESSAGES, "down ");
        const writing = (async () => {
          for (let n = 0; n < MESSAGES; n += 50) {
            const some = texts.slice(n, n + 50);
            await Promise.all(some.map((text) => device.write(text, { wait: false })));
          }
        })();
        writing.catch(() => {}); // the server was closed: the test has already failed
        reading.catch(() => {});
        const isOver = () => life.all("got").includes(texts.at(-1)!);
        while (!isOver() && lives.length < 200) {
          const count = life.all("got").length + random.int(50, 500);
          await until(
            () => life.all("got").length >= count || isOver() || life.trouble !== "",
            { timeout: PATIENCE, what: () => story(seed, life) },
          );
          assertEquals(life.trouble, "", story(seed, life));
          if (isOver()) break;
          await life.kill();
          first = lives.length * 10_000;
          life = live();
        }
        await writing;
        await life.kill();
        ended = true;
        await failing;
        // Down: a message is repeated if the device was killed before it stored that it was done with it.
        let next = 0;
        for (const { said } of lives) {
          const got = said.filter((line) => line.startsWith("got down "))
            .map((line) => Number(line.slice(9)));
          if (got.length === 0) continue;
          const again = next - got[0]!;
          assert(again >= 0, `down ${next} is missing, seed ${seed}`);
          // With the position lost: all whose acks the server did not have.
          assert(again <= (isKept ? 1 : 64), `${again} came again, seed ${seed}`);
          assertEquals(got, got.map((_, i) => got[0]! + i), `seed ${seed}`);
          next = got[0]! + got.length;
        }
        assertEquals(next, MESSAGES);
        // Up: every message reported as sent has arrived, in order, and none twice.
        const up = heard.map((line) => Number(line.slice(3)));
        assertEquals(up, up.toSorted((a, b) => a - b));
        assertEquals(new Set(up).size, up.length);
        const there = new Set(up);
        const lost = lives.flatMap((life) => life.all("sent")).filter((n) => !there.has(Number(n)));
        assertEquals(lost, [], `seed ${seed}`);
        for (const life of new Set(up.map((n) => Math.floor(n / 10_000)))) {
          const its = up.filter((n) => Math.floor(n / 10_000) === life);
          assertEquals(
            its,
            its.map((_, i) => its[0]! + i),
            "a message is missing before a later one",
          );
          assertEquals(its[0]! % 10_000, 0);
        }
      } finally {
        ended = true;
        for (const life of lives) await life.kill();
        await failing;
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}
