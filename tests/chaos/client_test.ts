/** A client's process that is killed again and again: every message that it has kept arrives exactly once. */
import { assert, assertEquals } from "@std/assert";
import { TextLineStream } from "@std/streams";
import { Server } from "../../server/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Random } from "../support/random.ts";
import { smallDiskTest } from "../support/small_disk.ts";
import { until } from "../support/wait.ts";

const SCRIPT = new URL("../support/client_process.ts", import.meta.url).pathname;
const TIMEOUT = 500;
const LIVES = 12;

/** A process with a memory, and what it prints. */
class Life implements AsyncDisposable {
  readonly said: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  #ended: Promise<void> | undefined;

  constructor(port: number, memory: string, prefix?: string) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-q",
        "-A",
        SCRIPT,
        `${port}`,
        memory,
        ...(prefix === undefined ? [] : [prefix]),
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    const text = this.#process.stdout.pipeThrough(new TextDecoderStream());
    for await (const line of text.pipeThrough(new TextLineStream())) this.said.push(line);
  }

  /** Texts that it reports as kept. */
  get kept(): string[] {
    return this.said.filter((line) => line.startsWith("kept ")).map((line) => line.slice(5));
  }

  async write(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${text}\n`));
  }

  /** With SIGKILL. */
  kill(): Promise<void> {
    return this.#ended ??= this.#kill();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await this.#reading;
    await this.#input.abort().catch(() => {}); // the pipe has ended already
  }
}

Deno.test("a client that is killed again and again: what it has kept arrives once and in order", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const folder = await Deno.makeTempDir({ prefix: "holdfast-chaos-" });
  const server = await Server.listen({
    hostname: "127.0.0.1",
    port: 0,
    open: true,
    timeout: TIMEOUT,
  });
  const proxy = await FaultProxy.start({ target: { port: server.port }, seed });
  const memory = `${folder}/client.state`;
  const heard: string[] = [];
  const reading = (async () => {
    for await (const line of await server.device("1")) heard.push(line);
  })();
  reading.catch(() => {}); // the server was closed before anybody connected
  try {
    const kept: string[] = [];
    for (let n = 0; n < LIVES; n++) {
      await using life = new Life(proxy.port, memory, `life${n}`);
      await until(() => life.kept.length > 0, { what: `life ${n}, seed ${seed}` });
      const hole = random.once(3); // so that the next processes have messages to send
      if (hole) proxy.blackhole(random.pick(["up", "down", "both"]));
      await new Promise((resolve) => setTimeout(resolve, random.int(0, 300)));
      if (random.once(3)) proxy.reset();
      await life.kill();
      kept.push(...life.kept);
      if (hole) proxy.restore({ drop: random.once(2) });
    }
    {
      await using last = new Life(proxy.port, memory);
      for (let tries = 1; last.kept.length === 0; tries++) { // the outbox may be full
        await last.write("the end");
        await until(() => last.said.length === tries, { what: `an answer, seed ${seed}` });
      }
      await until(() => heard.at(-1) === "the end", {
        timeout: 60_000,
        what: `the end, seed ${seed}`,
      });
      kept.push("the end");
    }
    // Some of a process's last messages may have arrived without its being told.
    const found = new Set(heard);
    assertEquals(heard.length, found.size, `something has come twice, seed ${seed}`);
    assertEquals(kept.filter((text) => !found.has(text)), [], `lost, seed ${seed}`);
    assertEquals(heard, heard.toSorted(byLifeAndNumber), `out of order, seed ${seed}`);
    assert(kept.length > 8 * LIVES);
  } finally {
    await server.close();
    await reading.catch(() => {});
    await proxy.close();
    await Deno.remove(folder, { recursive: true });
  }
});

/** In the order in which they were written. */
function byLifeAndNumber(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => {
    const [, life = Infinity, number = 0] = text.match(/^life(\d+) (\d+)$/)?.map(Number) ?? [];
    return { life, number };
  });
  return left!.life - right!.life || left!.number - right!.number;
}

smallDiskTest(
  "a client's process whose disk is full reports that, keeps running, and goes on when there is room",
  async (disk) => {
    const server = await Server.listen({
      hostname: "127.0.0.1",
      port: 0,
      open: true,
      timeout: TIMEOUT,
    });
    try {
      await using life = new Life(server.port, `${disk.folder}/client.state`);
      const device = await server.device("1");
      const says = (what: string) =>
        until(() => life.said.includes(what), {
          what: () => `${what} after ${life.said.at(-1)?.slice(0, 40)}`,
        });
      await life.write("a");
      await says("kept a");
      disk.fill();
      const texts = Array.from({ length: 20 }, (_, i) => `${i} ${"x".repeat(10_000)}`);
      for (const text of texts) await life.write(text);
      await until(() => life.said.length === 21, { what: "an outcome of each write" });
      const refused = life.said.filter((line) => line.startsWith("STORE_FAILED"));
      assert(refused.length > 0, "the full disk refused nothing");
      disk.empty();
      await life.write("b");
      await says("kept b");
      const heard = [];
      while (heard.at(-1) !== "b") heard.push(await device.readline());
      assertEquals(heard, life.kept);
    } finally {
      await server.close();
    }
  },
);
