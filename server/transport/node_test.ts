/** Time and turns of the real platform, and its listener. Connections are in `node_socket_test.ts`. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RawPeer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";
import { nodePlatform } from "./node.ts";
import type { Listener, Socket } from "./platform.ts";

const HERE = { hostname: "127.0.0.1", port: 0, backlog: 512 };

const never = (error: Error) => {
  throw error;
};

// Time and turns.

Deno.test("a timer fires once, not before its time, and never after it is cancelled", async () => {
  let times = 0;
  const started = nodePlatform.now();
  const forget = nodePlatform.after(5, () => times += 100);
  await new Promise<void>((resolve) => {
    nodePlatform.after(20.5, () => {
      times++;
      resolve();
    });
    forget();
  });
  assert(nodePlatform.now() - started >= 20, "timers may round down to a whole ms");
  const later = Promise.withResolvers<void>();
  nodePlatform.after(30, later.resolve);
  await later.promise;
  assertEquals(times, 1);
});

Deno.test("now never goes back, and date is the system's", () => {
  const [now, date] = [nodePlatform.now(), nodePlatform.date()];
  assert(nodePlatform.now() >= now);
  assert(Math.abs(date - Date.now()) < 10_000);
});

Deno.test("soon runs before endOfTurn", async () => {
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  nodePlatform.endOfTurn(() => {
    order.push("end of turn");
    resolve();
  });
  nodePlatform.soon(() => order.push("soon"));
  order.push("now");
  await promise;
  assertEquals(order, ["now", "soon", "end of turn"]);
});

/** Sockets whose other ends are in a worker, which sends on request. */
class Crowd implements AsyncDisposable {
  /** Bytes that were read. */
  read = 0;
  #flag = new Int32Array(new SharedArrayBuffer(4));
  #worker = new Worker(new URL("../../tests/support/sending_worker.ts", import.meta.url), {
    type: "module",
  });
  #sockets: Socket[] = [];

  private constructor(readonly listener: Listener) {}

  static async start(count: number): Promise<Crowd> {
    const crowd: Crowd = new Crowd(
      await nodePlatform.listen(HERE, (socket) => crowd.#met(socket), never),
    );
    const connected = new Promise((resolve) => crowd.#worker.onmessage = resolve);
    crowd.#worker.postMessage([crowd.listener.port, count, crowd.#flag]);
    await connected;
    await until(() => crowd.#sockets.length === count, { what: "all of them" });
    return crowd;
  }

  #met(socket: Socket): void {
    this.#sockets.push(socket);
    const nothing = () => {};
    socket.start({ data: ({ length }) => this.read += length, drained: nothing, ended: nothing });
  }

  /** Keeps the event loop from doing anything until all have sent a byte. */
  blockUntilSent(): void {
    Atomics.store(this.#flag, 0, 1);
    Atomics.notify(this.#flag, 0);
    Atomics.wait(this.#flag, 0, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Atomics.store(this.#flag, 0, 2);
    Atomics.notify(this.#flag, 0);
    for (const socket of this.#sockets) socket.close();
    await this.listener.close();
    this.#worker.terminate();
  }
}

for (const count of [3, 2500]) {
  Deno.test(`caughtUp: everything that ${count} sockets received while the event loop was blocked is read`, async () => {
    await using crowd = await Crowd.start(count);
    let fooled = 0; // rounds in which two turns were not enough
    for (let round = 1; round <= 3 || fooled === 0; round++) {
      assert(round < 20, "a turn or two are always enough: then this test shows nothing");
      crowd.blockUntilSent();
      const expected = round * count;
      setImmediate(() => setImmediate(() => fooled += crowd.read < expected ? 1 : 0));
      await new Promise<void>((resolve) => nodePlatform.caughtUp(count, resolve));
      assertEquals(crowd.read, expected);
    }
  });
}

Deno.test("caughtUp: each caller is called once, in order, and one with many sockets later", async () => {
  const order: number[] = [];
  const ask = (n: number, sockets = 1) =>
    new Promise<void>((resolve) =>
      nodePlatform.caughtUp(sockets, () => {
        order.push(n);
        resolve();
      })
    );
  const asked = [ask(1), ask(5, 5000), ask(2), ask(3).then(() => ask(4))];
  await Promise.all(asked);
  assertEquals(order, [1, 2, 3, 4, 5]);
});

// Listeners.

Deno.test("a listener hands over each connection, and does not close them when it is closed", async () => {
  const sockets: Socket[] = [];
  const listener = await nodePlatform.listen(HERE, (socket) => sockets.push(socket), never);
  await using peer = await RawPeer.dial(listener.port);
  await until(() => sockets.length === 1);
  await listener.close();
  const again = await nodePlatform.listen(
    { ...HERE, port: listener.port },
    (socket) => socket.close(),
    never,
  );
  assertEquals(again.port, listener.port, "the port was free");
  await again.close();
  const [socket] = sockets;
  let heard = "";
  socket!.start({
    data: (bytes) => heard += new TextDecoder().decode(bytes),
    drained() {},
    ended() {},
  });
  const { hostname, port } = peer.conn.localAddr as Deno.NetAddr;
  assertEquals([socket!.hostname, socket!.address], [hostname, `${hostname}:${port}`]);
  await peer.say("still here");
  await until(() => heard === "still here");
  socket!.close();
  assertEquals(await peer.end(), "closed");
});

Deno.test("a failure to listen has the system's error code", async () => {
  const first = await nodePlatform.listen(HERE, () => {}, never);
  for (
    const [options, code] of [
      [{ port: first.port }, "EADDRINUSE"],
      [{ hostname: "192.0.2.1" }, "EADDRNOTAVAIL"],
    ] as const
  ) {
    const listening = nodePlatform.listen({ ...HERE, ...options }, () => {}, never);
    const error = await assertRejects(() => listening, Error);
    assertEquals((error as NodeJS.ErrnoException).code, code, error.message);
    assert(error.message.includes(code), error.message);
  }
  await first.close();
});

Deno.test("a listener without free file handles reports it, and accepts again later", async () => {
  const script = new URL("../../tests/support/listening_process.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-A", script];
  const child = new Deno.Command("sh", {
    args: ["-c", 'ulimit -n 64; exec "$@"', "sh", ...deno],
    stdout: "piped",
  }).spawn();
  let said = "";
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) said += text;
  })();
  const peers: RawPeer[] = [];
  try {
    const port = Number(await until(() => said.match(/^(\d+)\n/)?.[1]));
    while (peers.length < 100) peers.push(await RawPeer.dial(port));
    await until(() => said.includes("EMFILE"), { what: "to be told" });
    for (const peer of peers) peer.close();
    await using late = await RawPeer.dial(port);
    await late.say("anybody there?");
    await until(() => late.heard === "anybody there?", { what: "an echo" });
  } finally {
    for (const peer of peers) await peer[Symbol.asyncDispose]();
    child.kill("SIGKILL");
    await Promise.all([child.status, reading]);
  }
});
