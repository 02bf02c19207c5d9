import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Arrival, type Direction, FaultProxy } from "./proxy.ts";
import { until } from "./wait.ts";

/** One end of a connection, and everything that it has received. */
class End {
  /** Each read, as text. */
  readonly reads: string[] = [];
  /** How the stream ended, if it has: "closed", or the name of the error. */
  ended: "closed" | string | undefined;
  readonly conn: Deno.TcpConn;
  readonly #done: Promise<void>;

  constructor(conn: Deno.TcpConn) {
    this.conn = conn;
    this.#done = this.#read();
  }

  get heard(): string {
    return this.reads.join("");
  }

  async say(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  hears(text: string): Promise<unknown> {
    return until(() => this.heard.endsWith(text), {
      what: () => `to hear ${text}, heard ${this.heard}`,
    });
  }

  hasEnded(): Promise<string | undefined> {
    return until(() => this.ended, { what: "the end of a connection" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.conn.close();
    } catch {
      // It was closed in the test.
    }
    await this.#done;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(4096);
    const decoder = new TextDecoder();
    try {
      for (let n; (n = await this.conn.read(buffer)) !== null;) {
        this.reads.push(decoder.decode(buffer.subarray(0, n), { stream: true }));
      }
      this.ended = "closed";
    } catch (error) {
      this.ended = (error as Error).name;
    }
  }
}

/** A target which takes connections, and a proxy in front of it. */
class Scene implements AsyncDisposable {
  /** The target's ends, in the order in which they arrived there. */
  readonly targets: End[] = [];
  readonly arrivals: Arrival[] = [];
  readonly #clients: End[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #accepting = this.#accept();
  proxy!: FaultProxy;

  static async start(seed = 1): Promise<Scene> {
    const scene = new Scene();
    scene.proxy = await FaultProxy.start({
      target: { port: scene.port },
      seed,
      onBytes: (arrival) => scene.arrivals.push(arrival),
    });
    return scene;
  }

  /** The target's own port. */
  get port(): number {
    return this.#listener.addr.port;
  }

  async dial(): Promise<End> {
    const end = new End(await Deno.connect({ hostname: "127.0.0.1", port: this.proxy.port }));
    end.conn.setNoDelay(true);
    this.#clients.push(end);
    return end;
  }

  /** Both ends of a new connection over which each has heard the other. */
  async link(): Promise<[client: End, target: End]> {
    const { length } = this.targets;
    const client = await this.dial();
    await client.say("hello");
    const target = await until(() => this.targets[length], { what: "a connection at the target" });
    await target.hears("hello");
    await target.say("welcome");
    await client.hears("welcome");
    return [client, target];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
    assertEquals(this.proxy.connections, 0);
    this.#listener.close();
    for (const end of [...this.#clients, ...this.targets]) await end[Symbol.asyncDispose]();
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) {
        conn.setNoDelay(true);
        this.targets.push(new End(conn));
      }
    } catch {
      // The listener is closed at the end of the test.
    }
  }
}

/**
 * Waits until new connections through a proxy have carried bytes both ways three times: bytes that have not arrived by
 * then were held up, and are not merely slow.
 */
async function aWhile(scene: Scene): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const [client, target] = await scene.link();
    client.conn.close();
    target.conn.close();
  }
}

Deno.test("bytes pass both ways, and each stream ends independently of the other", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  assertEquals([scene.proxy.connections, scene.proxy.accepted], [1, 1]);
  await client.say("last words");
  await client.conn.closeWrite();
  assertEquals(await target.hasEnded(), "closed");
  await target.say("an answer nevertheless");
  target.conn.close();
  assertEquals(await client.hasEnded(), "closed");
  assertEquals(target.heard, "hellolast words");
  assertEquals(client.heard, "welcomean answer nevertheless");
  await until(() => scene.proxy.connections === 0, { what: "the proxy to forget the connection" });
});

Deno.test("an observer sees the bytes that were sent, with their direction", async () => {
  await using scene = await Scene.start();
  await scene.link();
  await scene.link();
  const seen = scene.arrivals.map(({ connection, direction, bytes }) =>
    `${connection} ${direction} ${new TextDecoder().decode(bytes)}`
  );
  assertEquals(seen, ["1 up hello", "1 down welcome", "2 up hello", "2 down welcome"]);
});

Deno.test("megabytes pass unharmed, though their receiver is slow", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  const text = "0123456789abcdef".repeat(1 << 17);
  await client.say(text);
  await until(() => target.heard.length === text.length + 5, { what: "two megabytes" });
  assertEquals(target.heard, `hello${text}`);
});

Deno.test("a reset breaks both ends abruptly, and new connections work at once", async () => {
  await using scene = await Scene.start();
  const ends = [...await scene.link(), ...await scene.link()];
  scene.proxy.reset();
  for (const end of ends) assertEquals(await end.hasEnded(), "ConnectionReset");
  await scene.link();
});

Deno.test("a reset of the connection to the target also resets the client's", async () => {
  await using scene = await Scene.start();
  await using behind = await FaultProxy.start({ target: { port: scene.port } });
  scene.proxy.retarget(behind.port);
  const [client, target] = await scene.link();
  behind.reset();
  assertEquals(await client.hasEnded(), "ConnectionReset");
  assertEquals(await target.hasEnded(), "ConnectionReset");
});

Deno.test("a target that is not there breaks the client's connection", async () => {
  await using scene = await Scene.start();
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  scene.proxy.retarget(free.addr.port);
  free.close();
  assertEquals(await (await scene.dial()).hasEnded(), "ConnectionReset");
});

Deno.test("after retarget new connections reach the other port, old ones stay", async () => {
  await using scene = await Scene.start();
  await using other = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.retarget(other.port);
  const second = await scene.dial();
  await second.say("anybody?");
  await (await until(() => other.targets[0])).hears("anybody?");
  await client.say("still you");
  await target.hears("still you");
});

for (const direction of ["up", "down", "both"] as const) {
  Deno.test(`in a black hole (${direction}) nothing passes; restored, all of it does, in order`, async () => {
    await using scene = await Scene.start();
    await using control = await Scene.start();
    const [client, target] = await scene.link();
    scene.proxy.blackhole(direction);
    await client.say("one ");
    await target.say("1 ");
    await client.say("two");
    await target.say("2");
    await until(() => scene.arrivals.length >= 4);
    if (direction !== "up") await target.hears("hello" + (direction === "down" ? "one two" : ""));
    if (direction !== "down") await client.hears("welcome" + (direction === "up" ? "1 2" : ""));
    await aWhile(control);
    if (direction !== "down") assertEquals(target.heard, "hello");
    if (direction !== "up") assertEquals(client.heard, "welcome");
    scene.proxy.restore();
    await target.hears("helloone two");
    await client.hears("welcome1 2");
  });
}

Deno.test("a connection that lost bytes in a black hole never passes another byte in either direction", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  const [idle, idleTarget] = await scene.link();
  scene.proxy.blackhole("up");
  await client.say("lost");
  await until(() => scene.arrivals.length === 5);
  scene.proxy.restore({ drop: true });
  await client.say("too late");
  await target.say("are you there?");
  // A connection without traffic meanwhile has noticed nothing.
  await idle.say("and I?");
  await idleTarget.hears("and I?");
  await aWhile(scene);
  assertEquals([target.heard, client.heard], ["hello", "welcome"]);
  assertEquals([target.ended, client.ended], [undefined, undefined]);
});

Deno.test("after a dropped part, nothing later of the stream is delivered", async () => {
  await using scene = await Scene.start();
  await using control = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.split(2, { gap: 1 });
  const text = "never a hole in a stream ".repeat(20);
  await client.say(text);
  await until(() => target.heard.length > 40);
  scene.proxy.blackhole("up");
  await aWhile(control);
  scene.proxy.restore({ drop: true });
  scene.proxy.split(undefined);
  await client.say("behind it");
  await aWhile(scene);
  assert(target.heard.length < text.length);
  assert(`hello${text}`.startsWith(target.heard), target.heard);
});

Deno.test("a silent connection stays open at each end until that end closes it", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.blackhole();
  await client.say("lost");
  await until(() => scene.arrivals.length === 3);
  scene.proxy.restore({ drop: true });
  client.conn.close();
  await aWhile(scene);
  await until(() => scene.proxy.connections === 1, { what: "the others to be forgotten" });
  assertEquals(target.ended, undefined);
  target.conn.close();
  await until(() => scene.proxy.connections === 0, { what: "the proxy to forget the connection" });
});

Deno.test("the end of a stream does not pass a black hole either", async () => {
  await using scene = await Scene.start();
  await using control = await Scene.start();
  const [client, target] = await scene.link();
  const [second, secondTarget] = await scene.link();
  scene.proxy.blackhole();
  client.conn.close();
  await aWhile(control);
  assertEquals(target.ended, undefined);
  scene.proxy.restore();
  assertEquals(await target.hasEnded(), "closed");
  scene.proxy.blackhole();
  second.conn.close();
  await aWhile(control);
  scene.proxy.restore({ drop: true });
  await aWhile(scene);
  assertEquals(secondTarget.ended, undefined);
});

Deno.test("connections made in a black hole reach the target late, or never", async () => {
  await using scene = await Scene.start();
  scene.proxy.blackhole();
  const lost = await scene.dial();
  await lost.say("lost");
  await until(() => scene.arrivals.length === 1);
  scene.proxy.restore({ drop: true });
  scene.proxy.blackhole("down");
  const late = await scene.dial();
  await late.say("late");
  const impatient = await scene.dial();
  await impatient.say("gave up");
  impatient.conn.close();
  await until(() => scene.arrivals.length === 3);
  assertEquals(scene.targets.length, 0);
  scene.proxy.restore();
  await (await until(() => scene.targets[0], { what: "the late connection" })).hears("late");
  await aWhile(scene);
  assertEquals(scene.targets.map((target) => target.heard), ["late", "hello", "hello", "hello"]);
  assertEquals(lost.ended, undefined);
});

Deno.test("half open: the client's end breaks, the target's stays open and silent", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.halfOpen();
  assertEquals(await client.hasEnded(), "ConnectionReset");
  await target.say("are you there?");
  await aWhile(scene);
  assertEquals([target.ended, target.heard], [undefined, "hello"]);
});

Deno.test("a black hole that an observer opens already swallows the bytes that it was shown", async () => {
  await using scene = await Scene.start();
  await using control = await Scene.start();
  const [client, target] = await scene.link();
  let caught = "";
  scene.proxy.onBytes = ({ direction, bytes }) => {
    if (direction === "up") return;
    caught = new TextDecoder().decode(bytes);
    scene.proxy.blackhole("down");
  };
  await client.say("question");
  await target.hears("question");
  await target.say("answer");
  await until(() => caught === "answer");
  await aWhile(control);
  assertEquals(client.heard, "welcome");
});

Deno.test("a reset by an observer already loses the bytes that it was shown", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.onBytes = () => scene.proxy.reset();
  await client.say("question");
  assertEquals(await target.hasEnded(), "ConnectionReset");
  assertEquals(target.heard, "hello");
  await until(() => scene.proxy.connections === 0, { what: "the proxy to forget the connection" });
});

Deno.test("split bytes arrive in small pieces, all of them, in order", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.split(3);
  const text = "grüße, 世界\n".repeat(20);
  await client.say(text);
  await target.say(text);
  await target.hears(`hello${text}`);
  await client.hears(`welcome${text}`);
  const size = new TextEncoder().encode(text).length;
  assert(target.reads.length > size / 10, `${target.reads.length} reads for ${size} bytes`);
  scene.proxy.split(undefined);
  await client.say("whole again");
  await target.hears("whole again");
  assertEquals(target.reads.at(-1), "whole again");
});

Deno.test("the stream is not cut where that is not allowed", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  const mayCut = (bytes: Uint8Array, at: number, direction: Direction) =>
    direction === "down" || bytes[at] !== 10;
  scene.proxy.split(4, { gap: 1, mayCut });
  const text = "a\nbcd\n\nefghij\n".repeat(30);
  await Promise.all([client.say(text), target.say(text)]);
  await target.hears(`hello${text}`);
  await client.hears(`welcome${text}`);
  assertEquals(target.reads.filter((read) => read.startsWith("\n")), []);
  assert(client.reads.some((read) => read.startsWith("\n")));
});

Deno.test("a piece size below one byte is refused", async () => {
  await using scene = await Scene.start();
  assertThrows(() => scene.proxy.split(0), RangeError);
  assertThrows(() => scene.proxy.split(NaN), RangeError);
});

Deno.test("delayed bytes arrive later, in order, and a reset does not wait for them", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.delay(50);
  const started = performance.now();
  for (const digit of "0123456789") await client.say(digit);
  await target.hears("hello0123456789");
  assert(performance.now() - started >= 45);
  scene.proxy.delay(3_600_000);
  await client.say("tomorrow");
  await until(() => scene.arrivals.at(-1)?.bytes.length === 8);
  scene.proxy.reset();
  assertEquals(await client.hasEnded(), "ConnectionReset");
});

Deno.test("a closed proxy accepts no connections, and resets those that it had", async () => {
  await using scene = await Scene.start();
  const [client, target] = await scene.link();
  scene.proxy.blackhole();
  await client.say("lost");
  const late = await scene.dial();
  const { port } = scene.proxy;
  await scene.proxy.close();
  for (const end of [client, target, late]) assertEquals(await end.hasEnded(), "ConnectionReset");
  await assertRejects(
    () => Deno.connect({ hostname: "127.0.0.1", port }),
    Deno.errors.ConnectionRefused,
  );
});
