/** A client in outages, at bad servers, and when it is closed. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MemoryStore, Server } from "../../server/mod.ts";
import {
  dial,
  inBothDialects,
  isClosed,
  numbers,
  PATIENT,
  quietServer,
  readAll,
  Scene,
  States,
  writeAll,
  writeInTurn,
} from "../../tests/support/clients.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { RawPeer, RawServer, stuff } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";
import { Client, PeerError } from "./mod.ts";

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
  "a link that is reset again and again loses nothing and leaves nothing behind",
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

Deno.test("a server that restarts on its store: nothing is lost or doubled", async () => {
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
  Deno.test(`a server that ${what} is dropped with the reason, and nothing is lost`, async () => {
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
  let kept: Promise<boolean> | undefined;
  await using server = new RawServer((peer) => {
    peer.keepAlive(10, "ff\n");
    if (kept) peer.read();
  }, false);
  const [client, states] = dial(server, { timeout: 1000 });
  await using _ = client;
  let told = 0; // how many states were reported when the socket was full
  while (!kept) {
    await client.ready();
    told = states.seen.length;
    // On a busy machine it may be given up before so many refusals have shown that its socket is full.
    await stuff(client, () => states.seen.length > told);
    if (states.seen.length === told) kept = client.write("do not lose this");
  }
  kept.catch(() => {});
  const { length } = server.peers;
  const reason = await until(() => states.seen[told], { what: "the client to give it up" });
  // A machine that stands still for a second is silent, too.
  assert(["STALLED", "SILENT"].includes(reason), states.seen.join());
  const peer = await server.peer(length);
  const line = await until(() => peer.lines.find((line) => line.endsWith("do not lose this")));
  await peer.say(`${line.slice(0, 2)}\n`);
  assertEquals(await kept, true);
});

// Calls from within onState, and the end.

Deno.test("calls from within onState take effect", async () => {
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
  Deno.test(`a client that is closed from within onState when its link is ${state} reports nothing more`, async () => {
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
  Deno.test(`closing a client that is ${moment} rejects whoever waits, and leaves nothing behind`, async () => {
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

Deno.test("a second call of close does not return before the first", async () => {
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
