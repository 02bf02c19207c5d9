import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Device, MemoryStore, Server } from "../../server/mod.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { type RawPeer, RawServer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";
import { Client, type ClientOptions, LocalError, PeerError } from "./mod.ts";

/** What is promised of a good server holds in both. */
const DIALECTS = [1, 2] as const;

/** For tests in which silence does not matter: long, but pauses between attempts grow with it. */
const PATIENT = 5000;

/** What a client has told about its link: "up", or the code of the reason why it is down. */
class States {
  readonly seen: string[] = [];
  readonly reasons: PeerError[] = [];

  onState = (connected: boolean, reason?: PeerError): void => {
    this.seen.push(connected ? "up" : reason!.code);
    if (reason) this.reasons.push(reason);
  };

  /** Waits until this was told, `times` times. */
  async tells(state: string, times = 1): Promise<void> {
    const what = () => `${state} ${times} times in ${this.seen.join()}`;
    await until(() => this.seen.filter((seen) => seen === state).length >= times, { what });
  }
}

/** A server, a bad network in front of it, and one client behind that. */
class Scene implements AsyncDisposable {
  readonly states = new States();
  client!: Client;

  private constructor(readonly server: Server, readonly proxy: FaultProxy) {}

  static async start(options: Partial<ClientOptions> = {}): Promise<Scene> {
    const { timeout = PATIENT } = options;
    const server = await Server.listen({ hostname: "127.0.0.1", port: 0, open: true, timeout });
    const proxy = await FaultProxy.start({ target: { port: server.port } });
    const scene = new Scene(server, proxy);
    const { onState } = scene.states;
    scene.client = new Client({ id: "1", port: proxy.port, timeout, onState, ...options });
    return scene;
  }

  device(): Promise<Device> {
    return this.server.device("1");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.proxy.close();
    await this.server.close();
  }
}

/** A client of a server that does what the test says, in dialect 1: that is soon said. */
function dial(server: RawServer, options: Partial<ClientOptions> = {}): [Client, States] {
  const states = new States();
  const { onState } = states;
  return [
    new Client({ id: "1", port: server.port, timeout: PATIENT, dialect: 1, onState, ...options }),
    states,
  ];
}

/** A server whose connections are kept alive, and otherwise silent. */
function quietServer(): RawServer {
  return new RawServer((peer) => {
    void peer.sayIfHeard("\n");
    peer.keepAlive(100);
  });
}

/** The connection to such a server, on which the client's first message is done: the next id is 01. */
async function booted(server: RawServer, client: Client): Promise<RawPeer> {
  const written = client.write("boot");
  written.catch(() => {});
  const peer = await server.peer(0);
  await peer.hears("00boot");
  await peer.say("00\n");
  await written;
  return peer;
}

/** The messages among the lines that a server has heard, with their ids; without what `booted` sent. */
function messages(peer: RawPeer): string[] {
  return peer.lines.slice(1).filter((line) => line.length > 2 && line !== "00boot");
}

function isClosed(error: unknown): boolean {
  return error instanceof LocalError && error.code === "CLOSED";
}

function numbers(count: number, prefix = ""): string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}${n}`);
}

/** Writes all of them; the result is that of all, and nobody need wait for it if a test has failed. */
function writeAll(end: Client | Device, texts: string[], wait = true): Promise<boolean[]> {
  const written = Promise.all(texts.map((text) => end.write(text, { wait })));
  written.catch(() => {});
  return written;
}

/** Writes one after the other, each when the one before is done. */
function writeInTurn(end: Client | Device, texts: string[]): Promise<boolean[]> {
  const written = (async () => {
    const results = [];
    for (const text of texts) results.push(await end.write(text));
    return results;
  })();
  written.catch(() => {});
  return written;
}

async function readAll(end: Client | Device, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) lines.push(await end.readline());
  return lines;
}

/** Registers a test of a situation in which both dialects must give the same. */
function inBothDialects(name: string, run: (dialect: 1 | 2) => Promise<void>): void {
  for (const dialect of DIALECTS) Deno.test(`dialect ${dialect}: ${name}`, () => run(dialect));
}

// What a client can be told.

Deno.test("arguments out of range are refused by name", () => {
  const wrong: [Partial<ClientOptions>, string][] = [
    [{ id: "" }, "id"],
    [{ id: "a\nb" }, "id"],
    [{ id: "a\0" }, "id"],
    [{ id: "\x01" }, "id"],
    [{ id: "\x7f" }, "id"],
    [{ id: "half a \ud83d" }, "id"],
    [{ id: "x".repeat(129) }, "id"],
    [{ id: "é".repeat(65) }, "id"],
    [{ port: 0 }, "port"],
    [{ port: 65536 }, "port"],
    [{ port: 1.5 }, "port"],
    [{ timeout: 99 }, "timeout"],
    [{ timeout: 3_600_001 }, "timeout"],
    [{ timeout: NaN }, "timeout"],
    // deno-lint-ignore no-explicit-any
    [{ dialect: 3 as any }, "dialect"],
    [{ key: "0123" }, "key"],
    [{ key: "x".repeat(64) }, "key"],
    [{ key: new Uint8Array(31) }, "key"],
    [{ key: new Uint8Array(32), dialect: 1 }, "dialect 1 has no keys"],
    [{ metadata: "a=1", dialect: 1 }, "dialect 1 has no metadata"],
    [{ metadata: `a=${"x".repeat(63)}` }, "metadata may have 64 bytes, not 65"],
    [{ metadata: "a=\t" }, "metadata has a control character"],
    [{ metadata: "a=\n" }, "metadata has a control character"],
    [{ metadata: "a=\ud83d" }, "metadata must be well-formed"],
    [{ metadata: "version 1" }, "metadata is not key=value pairs"],
    [{ size: { line: 120 } }, "size.line"],
    [{ size: { line: 0 }, dialect: 1 }, "size.line"],
    [{ size: { line: 32_001 } }, "size.line"],
    [{ size: { line: 1.5 } }, "size.line"],
    [{ size: { line: 200, outbox: 206 } }, "size.outbox"],
    [{ size: { line: 200, inbox: 405 } }, "size.inbox"],
    [{ size: { line: 121, inbox: 247 } }, "size.inbox"],
    [{ id: "x".repeat(100), size: { line: 121, inbox: 315 } }, "size.inbox"],
    [{ size: { line: 100, inbox: 205 }, dialect: 1 }, "size.inbox"],
    [{ size: { recent: 0 } }, "size.recent"],
    [{ size: { recent: 224 } }, "size.recent"],
    [{ size: { window: 0 } }, "size.window"],
    [{ size: { window: 65 } }, "size.window"],
  ];
  for (const [options, name] of wrong) {
    const error = assertThrows(() => new Client({ id: "1", ...options }), LocalError, name);
    assertEquals(error.code, "BAD_ARGUMENT");
  }
});

Deno.test("the longest ids arrive as they are", async () => {
  for (const id of ["x".repeat(128), "Küche 🐙", " "]) {
    for (const dialect of DIALECTS) {
      await using scene = await Scene.start({ id, dialect });
      assertEquals((await scene.server.device(id)).id, id);
    }
  }
});

Deno.test("the smallest sizes permitted carry messages both ways", async () => {
  const sizes = {
    1: { line: 1, outbox: 8, inbox: 8, recent: 1, window: 1 },
    2: { line: 121, outbox: 128, inbox: 350, window: 1 },
  };
  for (const dialect of DIALECTS) {
    await using scene = await Scene.start({ dialect, size: sizes[dialect] });
    const device = await scene.device();
    for (const text of ["a", "b", "c"].map((text) => text.repeat(sizes[dialect].line))) {
      assertEquals(await Promise.all([scene.client.write(text), device.readline()]), [true, text]);
      assertEquals(await Promise.all([device.write(text), scene.client.readline()]), [true, text]);
    }
  }
});

// A good link.

inBothDialects("messages go both ways, each side's in order", async (dialect) => {
  await using scene = await Scene.start({ dialect });
  const device = await scene.device();
  const texts = numbers(100, "message ");
  const written = [writeAll(scene.client, texts), writeAll(device, texts)];
  const read = [readAll(device, 100), readAll(scene.client, 100)];
  assertEquals(await Promise.all(read), [texts, texts]);
  assertEquals(new Set((await Promise.all(written)).flat()), new Set([true]));
  assertEquals([scene.client.connects, device.connects], [1, 1]);
});

inBothDialects("any line of text arrives as it was written", async (dialect) => {
  await using scene = await Scene.start({ dialect });
  const device = await scene.device();
  const texts = [
    " ",
    "\r",
    " \0",
    " \x01",
    "00",
    "ff",
    "grüße, 世界 🐙",
    "\ufeffmark",
    "\u2028",
    "\ufffd",
    "\x7f",
  ];
  for (const text of texts) {
    const [, heard] = await Promise.all([scene.client.write(text), device.readline()]);
    assertEquals(heard, text);
    const [, echoed] = await Promise.all([device.write(text), scene.client.readline()]);
    assertEquals(echoed, text);
  }
  await scene.client.write("with a newline at its end\n");
  assertEquals(await device.readline(), "with a newline at its end");
});

Deno.test("the longest text passes, both ways, and no longer one", async () => {
  await using scene = await Scene.start();
  const device = await scene.device();
  for (const text of ["x".repeat(16 * 1024), "é".repeat(8 * 1024), "€".repeat(5461) + "x"]) {
    const reads = [device.readline(), scene.client.readline()];
    await Promise.all([scene.client.write(text), device.write(text)]);
    assertEquals(await Promise.all(reads), [text, text]);
    await assertRejects(() => scene.client.write(text + "x"), LocalError, "16385");
  }
  assertEquals(scene.states.seen, ["up"]);
});

Deno.test("texts that no line can carry are refused, and nothing of them is sent", async () => {
  await using scene = await Scene.start();
  const device = await scene.device();
  for (const text of ["", "\n", "a\nb", "a\n\n", "\ud83d", "\udc19\ud83d", "\0", "\0a"]) {
    for (const qos of [true, false]) {
      const error = await assertRejects(() => scene.client.write(text, { qos }), LocalError);
      assertEquals(error.code, "BAD_TEXT");
    }
  }
  await scene.client.write("well-formed");
  assertEquals(await device.readline(), "well-formed");
});

inBothDialects(
  "a network that cuts everything into small pieces changes nothing",
  async (dialect) => {
    await using scene = await Scene.start({ dialect });
    scene.proxy.split(3);
    const device = await scene.device();
    const texts = numbers(20, "grüße, 世界 🐙 ");
    const written = [writeAll(scene.client, texts, false), writeAll(device, texts, false)];
    const read = [readAll(device, 20), readAll(scene.client, 20)];
    assertEquals(await Promise.all(read), [texts, texts]);
    await Promise.all(written);
  },
);

Deno.test("ready resolves when the link is up, at once if it is, and again after an outage", async () => {
  await using scene = await Scene.start();
  const { client } = scene;
  assertEquals(client.connected, false);
  await Promise.all([client.ready(), client.ready()]);
  assertEquals([client.connected, client.connects], [true, 1]);
  await client.ready();
  scene.proxy.reset();
  await scene.states.tells("LOST");
  assertEquals(client.connected, false);
  await client.ready();
  assertEquals([client.connected, client.connects], [true, 2]);
  assertEquals(scene.states.seen, ["up", "LOST", "up"]);
});

// How messages go out.

Deno.test("a message waits for the ack of the one before it, unless told not to", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const peer = await booted(server, client);
  const writes = [
    client.write("a"),
    client.write("b", { wait: false }),
    client.write("c"),
    client.write("d", { wait: false }),
  ];
  for (const write of writes) write.catch(() => {});
  await peer.hears("02b");
  assertEquals(messages(peer), ["01a", "02b"]);
  await peer.say("02\n");
  await peer.say("01\n");
  assertEquals(await Promise.all(writes.slice(0, 2)), [true, true]);
  await peer.hears("03c", "04d");
  await peer.say("03\n04\n");
  assertEquals(await Promise.all(writes), [true, true, true, true]);
  assertEquals(messages(peer), ["01a", "02b", "03c", "04d"]);
});

Deno.test("nothing overtakes the first message after a boot: its repeat would look like a boot", async () => {
  await using server = quietServer();
  const [client, states] = dial(server);
  await using _ = client;
  const writes = ["boot", "waits all the same"].map((text) => client.write(text, { wait: false }));
  for (const write of writes) write.catch(() => {});
  const peer = await server.peer(0);
  await peer.hears("00boot");
  peer.close();
  await states.tells("LOST");
  assertEquals(peer.lines, ["1", "00boot"]);
  const back = await server.peer(1);
  await back.hears("00boot");
  await back.say("00\n");
  await back.hears("01waits all the same");
  await back.say("01\n");
  assertEquals(await Promise.all(writes), [true, true]);
});

Deno.test("acks in any order: a write is done with those before it", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const peer = await booted(server, client);
  const done: string[] = [];
  const writes = ["a", "b", "c"].map(async (text) => {
    await client.write(text, { wait: false });
    done.push(text);
  });
  await peer.hears("03c");
  await peer.say("03\n02\n01\n");
  await Promise.all(writes);
  assertEquals(done, ["a", "b", "c"]);
});

Deno.test("without qos a message goes out at once, once, or is refused", async () => {
  await using server = quietServer();
  const [client, states] = dial(server);
  await using _ = client;
  assertEquals(await client.write("no link yet", { qos: false }), false);
  const peer = await booted(server, client);
  const writes = [client.write("waits for its ack"), client.write("waits for its turn")];
  for (const write of writes) write.catch(() => {});
  await peer.hears("01waits for its ack");
  assertEquals(await client.write("at once", { qos: false }), true);
  await peer.hears("02at once");
  peer.close();
  await states.tells("LOST");
  assertEquals(await client.write("no link", { qos: false }), false);
  const back = await server.peer(1);
  await back.hears("01waits for its ack");
  await back.say("01\n");
  await back.hears("03waits for its turn");
  await back.say("03\n");
  assertEquals(await Promise.all(writes), [true, true]);
  assertEquals(messages(back), ["01waits for its ack", "03waits for its turn"]);
});

Deno.test("more writes wait than the core's outbox holds, and the rest are refused", async () => {
  await using server = quietServer();
  const [client] = dial(server, { size: { window: 4 } });
  const peer = await booted(server, client);
  const results: Promise<unknown>[] = [];
  for (let n = 0; n < 1100; n++) {
    results.push(client.write(`${n}`, { wait: false }).catch((error) => error.code));
  }
  await peer.hears("01" + "0", "04" + "3");
  await peer.say("01\n02\n03\n04\n");
  await peer.hears("08" + "7");
  await client.close();
  const outcomes = await Promise.all(results);
  const count = (outcome: unknown) => outcomes.filter((each) => each === outcome).length;
  assertEquals(outcomes.slice(0, 4), [true, true, true, true]);
  assert(count("OUTBOX_FULL") > 0);
  assertEquals(count(true) + count("OUTBOX_FULL") + count("CLOSED"), 1100);
  // Those were refused that came when the others waited already.
  assertEquals(outcomes.indexOf("OUTBOX_FULL") >= 1024, true);
});

Deno.test("a write that is aborted waits no longer, and lets the others pass", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const controller = new AbortController();
  const { signal } = controller;
  const peer = await booted(server, client);
  const onItsWay = client.write("on its way", { signal });
  const queued = client.write("queued", { signal });
  const other = client.write("other", { wait: false });
  for (const write of [onItsWay, queued, other]) write.catch(() => {});
  await peer.hears("01on its way");
  controller.abort(new Error("changed my mind"));
  for (const write of [onItsWay, queued, client.write("late", { signal })]) {
    await assertRejects(() => write, Error, "changed my mind");
  }
  await peer.hears("02other");
  await peer.say("01\n02\n");
  assertEquals(await other, true);
  assertEquals(messages(peer), ["01on its way", "02other"]);
});

Deno.test("a signal that serves many writes collects no listeners", async () => {
  await using scene = await Scene.start();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  for (let n = 0; n < 5; n++) {
    const written = scene.client.write("text", { signal });
    assertEquals(listeners, 1);
    await written;
  }
  assertEquals(listeners, 0);
});

// Readers.

Deno.test("nothing is acknowledged that was not handed out", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const peer = await server.peer(0);
  await peer.say(
    numbers(30).map((n) => `${Number(n).toString(16).padStart(2, "0")}${n}\n`).join(""),
  );
  await client.ready();
  const acks = () => peer.lines.slice(1);
  for (let n = 0; n < 30; n++) {
    assertEquals(acks().length, n);
    assertEquals(await client.readline(), `${n}`);
    await until(() => acks().length > n);
  }
  assertEquals(acks().at(-1), "1d");
});

Deno.test("a server that sends faster than anybody reads is slowed down, and nothing is lost", async () => {
  await using scene = await Scene.start({ size: { line: 1024, inbox: 3000 } });
  const device = await scene.device();
  const texts = numbers(300, "x".repeat(500));
  const written = writeAll(device, texts, false);
  assertEquals(await readAll(scene.client, 300), texts);
  assertEquals(new Set(await written), new Set([true]));
  assertEquals(scene.states.seen, ["up"]);
});

inBothDialects(
  "what was sent to a client that does not read, and is cut off, arrives once",
  async (dialect) => {
    await using scene = await Scene.start({ dialect });
    const device = await scene.device();
    const written = writeAll(device, numbers(10), false);
    assertEquals(await readAll(scene.client, 3), ["0", "1", "2"]);
    scene.proxy.reset();
    await scene.states.tells("up", 2);
    assertEquals(await readAll(scene.client, 7), ["3", "4", "5", "6", "7", "8", "9"]);
    await written;
  },
);

Deno.test("several who read get a message each, in the order in which they asked", async () => {
  await using scene = await Scene.start();
  const asked = [scene.client.readline(), scene.client.readline(), scene.client.readline()];
  const device = await scene.device();
  for (const text of ["a", "b", "c"]) await device.write(text);
  assertEquals(await Promise.all(asked), ["a", "b", "c"]);
});

Deno.test("a loop over the messages may be left, and reading goes on behind it", async () => {
  await using scene = await Scene.start();
  const device = await scene.device();
  const written = writeAll(device, ["a", "b", "c"]);
  for await (const line of scene.client) if (line === "b") break;
  assertEquals(await scene.client.readline(), "c");
  await written;
});

Deno.test("each end writes and nobody reads until the acks are there: both get theirs", async () => {
  const size = { line: 100, inbox: 206 };
  await using scene = await Scene.start({ timeout: 1000, dialect: 1, size });
  const device = await scene.device();
  const texts = numbers(20, "a text of some length, so that the inbox is full ");
  const written = writeAll(device, texts, false);
  await writeAll(scene.client, texts);
  await writeAll(scene.client, texts);
  // What found no room came again later, and need not wait for what was sent before it.
  assertEquals((await readAll(scene.client, 20)).sort(), texts.sort());
  await written;
});

// Outages.

Deno.test("a connection that is refused is tried again until there is a server", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  taken.close();
  const states = new States();
  await using client = new Client({ id: "1", port, timeout: 1000, onState: states.onState });
  const written = client.write("through all of it");
  await states.tells("LOST", 3);
  assertStringIncludes(states.reasons[0]!.message, "refused");
  assertEquals(client.connects, 0);
  await using server = await Server.listen({
    hostname: "127.0.0.1",
    port,
    open: true,
    timeout: 1000,
  });
  assertEquals(await (await server.device("1")).readline(), "through all of it");
  assertEquals(await written, true);
});

Deno.test("a server that cannot be found has a reason, too", async () => {
  const states = new States();
  const client = new Client({ id: "1", host: "no-such-host.invalid", onState: states.onState });
  await until(() => states.seen.length > 0);
  await client.close();
  assertEquals(states.reasons[0]?.name, "PeerError");
});

for (const tls of [undefined, true] as const) {
  Deno.test(`a network that swallows the attempt to connect${tls ? " over TLS" : ""} is noticed, and tried again`, async () => {
    // A listener that accepts nobody: once its queue is full, further attempts get no answer.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const { port } = listener.addr;
    const controller = new AbortController();
    const fillers = Array.from({ length: 8 }, async () => {
      const { signal } = controller;
      return await Deno.connect({ hostname: "127.0.0.1", port, signal }).catch(() => undefined);
    });
    const states = new States();
    const { onState } = states;
    const client = new Client({ id: "1", port, timeout: 400, onState, ...(tls && { tls }) });
    await states.tells("NO_ANSWER", 2);
    await client.close();
    controller.abort();
    for (const filler of fillers) (await filler)?.close();
  });
}

Deno.test("a server that does not answer in TLS is given up, and a client that is closed meanwhile leaves", async () => {
  await using server = new RawServer();
  const [client, states] = dial(server, { tls: true, timeout: 400 });
  const first = await server.peer(0);
  await states.tells("NO_ANSWER");
  await first.end();
  const second = await server.peer(1);
  await until(() => second.heard.length > 0, { what: "the handshake to begin" });
  await client.close();
  await second.end();
  assertEquals(states.seen.includes("up"), false);
});

for (const fault of ["reset", "black hole", "half-open socket"] as const) {
  inBothDialects(
    `a ${fault} with writes waiting at both ends: all arrive, once, in order`,
    async (dialect) => {
      await using scene = await Scene.start({ timeout: 600, dialect });
      const { client, proxy, states } = scene;
      const device = await scene.device();
      await client.ready();
      const texts = numbers(30);
      const written = [writeInTurn(client, texts), writeInTurn(device, texts)];
      const read = Promise.all([readAll(device, 30), readAll(client, 30)]);
      read.catch(() => {});
      let arrivals = 0;
      const happens = Promise.withResolvers<void>();
      proxy.onBytes = () => {
        if (++arrivals !== 25) return;
        if (fault === "reset") proxy.reset();
        if (fault === "half-open socket") proxy.halfOpen();
        if (fault === "black hole") proxy.blackhole();
        happens.resolve();
      };
      await happens.promise;
      if (fault === "black hole") {
        await until(() => states.seen.length > 1);
        assertEquals(await client.write("no link", { qos: false }), false);
        proxy.restore({ drop: true });
      }
      assertEquals(await read, [texts, texts]);
      assertEquals(new Set((await Promise.all(written)).flat()), new Set([true]));
      assert(client.connects > 1);
    },
  );
}

inBothDialects(
  "a link that is reset again and again loses nothing and leaves nothing",
  async (dialect) => {
    await using scene = await Scene.start({ dialect, timeout: 1000 });
    const device = await scene.device();
    const texts = numbers(200);
    const written = [writeInTurn(scene.client, texts), writeInTurn(device, texts)];
    const read = Promise.all([readAll(device, 200), readAll(scene.client, 200)]);
    read.catch(() => {});
    let arrivals = 0;
    let resets = 0;
    scene.proxy.onBytes = () => {
      if (++arrivals % 40 === 0 && resets++ < 20) scene.proxy.reset();
    };
    assertEquals(await read, [texts, texts]);
    await Promise.all(written);
    assert(resets > 5, `only ${resets} resets`);
  },
);

Deno.test("a server that is started again on what it remembers: nothing is lost or doubled", async () => {
  const store = new MemoryStore();
  const listen = () =>
    Server.listen({ hostname: "127.0.0.1", port: 0, open: true, store, timeout: 1000 });
  let server = await listen();
  await using proxy = await FaultProxy.start({ target: { port: server.port } });
  const states = new States();
  const { onState } = states;
  await using client = new Client({ id: "1", port: proxy.port, timeout: 1000, onState });
  const texts = numbers(60);
  const written = writeAll(client, texts);
  const heard: string[] = [];
  for (let restart = 0; restart < 3; restart++) {
    const device = await server.device("1");
    heard.push(...await readAll(device, 15));
    // The last one was handed out, but nobody said that it was processed: it comes again.
    heard.pop();
    await server.close();
    server = await listen();
    proxy.retarget(server.port);
  }
  heard.push(...await readAll(await server.device("1"), 60 - heard.length));
  assertEquals(heard, texts);
  await written;
  await client.close();
  await server.close();
});

// Servers that misbehave. Each does so once; what was written meanwhile reaches a good one.

for (
  const [what, misbehaves, code] of [
    ["sends a line without an id", (peer) => peer.sayIfHeard("\nhello\n"), "BAD_LINE"],
    ["sends an id in upper case", (peer) => peer.sayIfHeard("\n0Ahello\n"), "BAD_LINE"],
    ["sends half an id", (peer) => peer.sayIfHeard("\n0\n"), "BAD_LINE"],
    [
      "speaks another protocol",
      (peer) => peer.sayIfHeard("HTTP/1.1 400 Bad Request\r\n\r\n"),
      "BAD_LINE",
    ],
    [
      "sends a message that is not UTF-8",
      (peer) => peer.sayIfHeard(new Uint8Array([10, 48, 48, 120, 0xff, 10])),
      "BAD_UTF8",
    ],
    [
      "sends an id that is not UTF-8",
      (peer) => peer.sayIfHeard(new Uint8Array([0xff, 0xfe, 10])),
      "BAD_LINE",
    ],
    [
      "sends a line that is too long",
      (peer) => peer.sayIfHeard(`00${"x".repeat(16385)}\n`),
      "LINE_TOO_LONG",
    ],
    [
      "sends a line without end",
      (peer) => peer.sayIfHeard("00" + "x".repeat(1e6)),
      "LINE_TOO_LONG",
    ],
    ["closes at once", (peer) => peer.close(), "LOST"],
    ["closes after half a line", async (peer) => {
      await peer.sayIfHeard("\n00hal");
      peer.close();
    }, "LOST"],
  ] as [string, (peer: RawPeer) => unknown, string][]
) {
  Deno.test(`a server that ${what} is dropped by name, and nothing is lost`, async () => {
    await using bad = new RawServer((peer) => void misbehaves(peer));
    await using scene = await Scene.start({ timeout: 1000 });
    await using proxy = await FaultProxy.start({ target: { port: bad.port } });
    const states = new States();
    const { onState } = states;
    const options = { id: "2", port: proxy.port, timeout: 1000, onState, dialect: 1 } as const;
    await using client = new Client(options);
    const written = client.write("for a good server");
    const readline = client.readline();
    await states.tells(code);
    proxy.retarget(scene.server.port);
    const device = await scene.server.device("2");
    assertEquals(await device.readline(), "for a good server");
    assertEquals(await written, true);
    await device.write("from a good server");
    assertEquals(await readline, "from a good server");
    const reason = states.reasons.find((reason) => reason.code === code)!;
    assert(reason instanceof PeerError && reason.message.length > 10, reason.message);
  });
}

Deno.test("messages before a bad line are handed out, and are not delivered twice", async () => {
  await using server = new RawServer((peer, index) => {
    peer.keepAlive(100);
    void peer.sayIfHeard(index === 0 ? "00good\nworse\n" : "00good\n01better\n");
  });
  const [client, states] = dial(server);
  await using _ = client;
  const lines = [await client.readline(), await client.readline()];
  assertEquals(lines, ["good", "better"]);
  await states.tells("BAD_LINE");
});

Deno.test("a server that accepts and never speaks is given up", async () => {
  await using server = new RawServer();
  const [client, states] = dial(server, { timeout: 200 });
  await using _ = client;
  await states.tells("NO_GREETING", 2);
  assertEquals(client.connects, 0);
  assertEquals(states.seen.includes("up"), false);
});

Deno.test("a server that falls silent is given up", async () => {
  await using server = new RawServer((peer) => void peer.sayIfHeard("\n"));
  const [client, states] = dial(server, { timeout: 300 });
  await using _ = client;
  await states.tells("SILENT", 2);
  assertEquals(states.seen.slice(0, 3), ["up", "SILENT", "up"]);
});

Deno.test("a server that never reads is given up, and what it did not take is kept", async () => {
  await using server = new RawServer((peer, index) => {
    peer.keepAlive(10, "ff\n");
    if (index > 0) peer.read();
  }, false);
  const [client, states] = dial(server, { timeout: 1000 });
  await using _ = client;
  await client.ready();
  // Until it has given up, and no longer: the next connection takes everything. On a busy machine the first one may
  // be given up before many refusals in a row have shown that its socket is full.
  const text = "x".repeat(16 * 1024);
  let kept: Promise<boolean> | undefined;
  await until(async () => {
    for (let n = 0; n < 32 && states.seen.length === 1; n++) {
      if (!await client.write(text, { qos: false })) kept ??= client.write("do not lose this");
    }
    return states.seen.length > 1;
  });
  assertEquals(states.seen[1], "STALLED");
  const peer = await server.peer(1);
  const line = await until(() => peer.lines.find((line) => line.endsWith("do not lose this")));
  await peer.say(`${line.slice(0, 2)}\n`);
  assertEquals(await kept, true);
});

// Calls from within onState, and the end.

Deno.test("whatever is called from within onState takes effect", async () => {
  await using scene = await Scene.start();
  const device = await scene.device();
  const results: Promise<unknown>[] = [];
  await using client = new Client({
    id: "2",
    port: scene.proxy.port,
    timeout: PATIENT,
    onState: (connected) => {
      if (!connected) return;
      results.push(client.write("no qos", { qos: false }));
      results.push(client.write("I am up"), client.readline(), client.ready());
    },
  });
  const other = await scene.server.device("2");
  assertEquals(new Set(await readAll(other, 2)), new Set(["I am up", "no qos"]));
  await other.write("good");
  assertEquals(await Promise.all(results), [true, true, "good", undefined]);
  assertEquals(device.connected, true);
});

for (const state of ["up", "down"]) {
  Deno.test(`a client that is closed when its link is ${state}, from within onState, says no more`, async () => {
    await using server = new RawServer((peer) => {
      void peer.sayIfHeard("\n").then(() => state === "down" && peer.close());
    });
    const seen: boolean[] = [];
    const closed = Promise.withResolvers<void>();
    const client: Client = new Client({
      id: "1",
      port: server.port,
      timeout: PATIENT,
      dialect: 1,
      onState: (connected) => {
        seen.push(connected);
        if (connected === (state === "up")) closed.resolve(client.close());
      },
    });
    await closed.promise;
    assertEquals(client.connected, false);
    assert(isClosed(await assertRejects(() => client.readline())));
    await (await server.peer(0)).end();
    assertEquals(seen.filter((connected) => connected === (state === "up")).length, 1);
    assertEquals(server.peers.length, 1);
  });
}

for (const moment of ["connecting", "not greeted", "up", "cut off"] as const) {
  Deno.test(`closing a client that is ${moment} rejects whoever waits, and leaves nothing`, async () => {
    await using server = new RawServer((peer, index) => {
      if (moment === "not greeted" || (moment === "cut off" && index > 0)) return;
      void peer.sayIfHeard("\n");
      peer.keepAlive(100);
    });
    const [client, states] = dial(server);
    const waiting = [
      client.readline(),
      client.readline(),
      client.write("never acknowledged"),
      client.write("not even sent"),
    ].map((promise) => promise.then(() => false, isClosed));
    if (moment !== "connecting") await server.peer(0);
    if (moment === "up" || moment === "cut off") {
      await client.ready();
      await (await server.peer(0)).hears("00never acknowledged");
    }
    if (moment === "cut off") {
      server.peers[0]!.close();
      await states.tells("LOST");
    }
    if (moment !== "up") waiting.push(client.ready().then(() => false, isClosed));
    const loop = (async () => {
      for await (const line of client) return line;
      return "ended";
    })();
    const told = states.seen.length;
    await client.close();
    await client.close();
    assertEquals(await Promise.all(waiting), waiting.map(() => true));
    assertEquals(await loop, "ended");
    assertEquals(client.connected, false);
    for (
      const call of [() => client.readline(), () => client.write("late"), () => client.ready()]
    ) {
      assert(isClosed(await assertRejects(call)));
    }
    for (const peer of server.peers) await peer.end();
    assertEquals(states.seen.length, told, "whoever closes need not be told");
  });
}

Deno.test("the second to close a client does not return before the first", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await client.ready();
  const order: string[] = [];
  await Promise.all([
    client.close().then(() => order.push("first")),
    client.close().then(() => order.push("second")),
  ]);
  assertEquals(order, ["first", "second"]);
});
