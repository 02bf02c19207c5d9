/** Connections of the real platform, over TCP and over TLS. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import net from "node:net";
import { makeCertificate } from "../../tests/support/certificate.ts";
import { RawPeer, RawServer } from "../../tests/support/raw.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError, type PeerError } from "../protocol/errors.ts";
import { nodePlatform } from "./node.ts";
import type { ConnectOptions, Listener, Socket, SocketEvents, Tls } from "./platform.ts";

const MB = 1024 * 1024;

/** More than the system's buffers of a connection hold. */
const MORE_THAN_FITS = 48 * MB;

/** One end, and what it was told. */
class End implements SocketEvents {
  socket!: Socket;
  heard = 0;
  text = "";
  told: string[] = [];
  reason: PeerError | undefined;
  /** Called with what was heard. */
  onData: (bytes: Uint8Array) => void = () => {};
  #decoder = new TextDecoder();

  opened(): void {
    this.told.push("opened");
  }

  data(bytes: Uint8Array): void {
    this.heard += bytes.length;
    if (this.text.length < 10_000) this.text += this.#decoder.decode(bytes, { stream: true });
    this.onData(bytes);
  }

  drained(): void {
    this.told.push("drained");
  }

  ended(reason: PeerError): void {
    this.told.push("ended");
    this.reason = reason;
  }

  is(state: string): Promise<unknown> {
    return until(() => this.told.includes(state), { what: () => `${state}, not ${this.told}` });
  }

  hears(text: string): Promise<unknown> {
    return until(() => this.text === text, { what: () => `${text}, not ${this.text}` });
  }
}

/** A listener, and the ends of connections to it. */
class Place implements AsyncDisposable {
  readonly accepted: Socket[] = [];
  readonly #connected: Socket[] = [];
  listener!: Listener;

  static async open(tls?: Tls): Promise<Place> {
    const place = new Place();
    place.listener = await nodePlatform.listen(
      { hostname: "127.0.0.1", port: 0, backlog: 16, tls },
      (socket) => place.accepted.push(socket),
      (error) => {
        throw error;
      },
    );
    return place;
  }

  connect(tls?: ConnectOptions["tls"], hostname = "127.0.0.1"): End {
    const end = new End();
    end.socket = nodePlatform.connect({ hostname, port: this.listener.port, tls }, end);
    this.#connected.push(end.socket);
    return end;
  }

  /** The next connection that was accepted, started. */
  async next(): Promise<End> {
    const end = new End();
    end.socket = await until(() => this.accepted[0], { what: "a connection" });
    end.socket.start(end);
    this.#connected.push(this.accepted.shift()!);
    return end;
  }

  /** Both ends of a connection that is open. */
  async pair(tls?: ConnectOptions["tls"]): Promise<[client: End, server: End]> {
    const client = this.connect(tls);
    const server = await this.next();
    await client.is("opened");
    return [client, server];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.accepted, ...this.#connected]) socket.close();
    await this.listener.close();
  }
}

/** Sockets that this process has open. 0 where one cannot see. */
function openSockets(): number {
  if (Deno.build.os !== "linux") return 0;
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("socket:")) count++;
    } catch {
      // The handle of the folder itself is gone by now.
    }
  }
  return count;
}

/** Waits until as many sockets are open as there were. */
function closedAllBut(count: number): Promise<unknown> {
  return until(() => openSockets() <= count, {
    what: () => `${count} sockets, not ${openSockets()}`,
  });
}

/** Waits until a number has not changed for a while: whatever moves it has come to a stop. */
async function settled(number: () => number): Promise<number> {
  let last = NaN;
  for (let same = 0; same < 15; same++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (number() !== last) same = 0;
    last = number();
  }
  return last;
}

/** Registers a test of what is the same over TCP and over TLS. */
function overBoth(
  name: string,
  run: (tls: Tls | undefined, trusted: { caCert: string } | undefined) => Promise<void>,
): void {
  Deno.test(`over TCP: ${name}`, () => run(undefined, undefined));
  toolTest(`over TLS: ${name}`, { openssl: "openssl" }, async ({ openssl }) => {
    const tls = await certificate(openssl);
    await run(tls, { caCert: tls.cert });
  });
}

let made: Promise<Tls> | undefined;

function certificate(openssl: string): Promise<Tls> {
  return made ??= makeCertificate(openssl);
}

overBoth("texts and bytes arrive as they were written, both ways", async (tls, trusted) => {
  await using place = await Place.open(tls);
  const [client, server] = await place.pair(trusted);
  for (const [one, other] of [[client, server], [server, client]] as const) {
    one.socket.write("text é€🐙, ");
    one.socket.write(new TextEncoder().encode("bytes, "));
    one.socket.write("");
    one.socket.write(new Uint8Array(0));
    one.socket.write("more");
    await other.hears("text é€🐙, bytes, more");
  }
  assertEquals([client.told.includes("ended"), server.told.includes("ended")], [false, false]);
});

overBoth("what is long arrives whole and in order, in whatever pieces", async (tls, trusted) => {
  await using place = await Place.open(tls);
  const [client, server] = await place.pair(trusted);
  const bytes = new Uint8Array(3 * MB + 7).map((_, i) => (i * 31 + (i >> 8)) % 251);
  const text = "é".repeat(20_000);
  const received = new Uint8Array(2 * bytes.length + 2 * text.length + 2);
  let at = 0;
  server.onData = (piece) => {
    received.set(piece, at);
    at += piece.length;
  };
  const end = client.socket;
  const all = [
    end.write(bytes),
    end.write("<"),
    end.write(text),
    end.write(bytes),
    end.write(">"),
  ].every(Boolean);
  if (!all) await client.is("drained");
  await until(() => at === received.length, { what: () => `${received.length}, not ${at}` });
  const expected = new Uint8Array(received.length);
  const parts = [bytes, new TextEncoder().encode(`<${text}`), bytes, new TextEncoder().encode(">")];
  parts.reduce((at, part) => (expected.set(part, at), at + part.length), 0);
  assert(received.every((byte, i) => byte === expected[i]));
  assertEquals(client.socket.taken, received.length);
});

overBoth("nothing is read before the start, and nothing is lost by that", async (tls, trusted) => {
  await using place = await Place.open(tls);
  const client = place.connect(trusted);
  if (!tls) { // with TLS there is no connection before the start
    await client.is("opened");
    client.socket.write(new Uint8Array(MORE_THAN_FITS));
    assert(await settled(() => client.socket.taken) < MORE_THAN_FITS);
  }
  await until(() => place.accepted.length === 1);
  const server = await place.next();
  await client.is("opened");
  if (tls) client.socket.write(new Uint8Array(MORE_THAN_FITS));
  await until(() => server.heard === MORE_THAN_FITS);
});

overBoth(
  "who is paused slows the other end down, and goes on when it is resumed",
  async (tls, trusted) => {
    await using place = await Place.open(tls);
    const [client, server] = await place.pair(trusted);
    server.onData = () => server.socket.pause();
    const total = 2 * MORE_THAN_FITS;
    assertEquals(client.socket.write(new Uint8Array(total)), false);
    const taken = await settled(() => client.socket.taken);
    assert(taken < MORE_THAN_FITS, `${taken} bytes left`);
    assert(server.heard <= 2 * MB, `${server.heard} bytes were read`);
    server.onData = () => {};
    for (let times = 0; times < 3; times++) {
      server.socket.resume();
      server.socket.pause();
    }
    server.socket.resume();
    await until(() => server.heard === total, { what: () => `all, not ${server.heard}` });
    await client.is("drained");
    assertEquals(client.told, ["opened", "drained"]);
    assertEquals(client.socket.taken, total);
  },
);

overBoth("one sees whether a slow reader takes anything", async (tls, trusted) => {
  await using place = await Place.open(tls);
  const [client, server] = await place.pair(trusted);
  server.socket.pause();
  assertEquals(client.socket.write(new Uint8Array(MORE_THAN_FITS)), false);
  const stalled = await settled(() => client.socket.taken);
  assert(stalled < MORE_THAN_FITS);
  const progress: number[] = [];
  server.onData = () => progress.push(client.socket.taken);
  server.socket.resume();
  await client.is("drained");
  assertEquals(client.socket.taken, MORE_THAN_FITS);
  progress.push(MORE_THAN_FITS);
  assert(progress.every((taken, i) => taken >= (progress[i - 1] ?? stalled)), "it never goes back");
  assert(new Set(progress).size > 3, `seen only at ${[...new Set(progress)]}`);
});

overBoth(
  "an end that is closed is told to the other one, once, and never to itself",
  async (tls, trusted) => {
    await using place = await Place.open(tls);
    for (const who of [0, 1]) {
      const pair = await place.pair(trusted);
      const [closer, other] = [pair[who]!, pair[1 - who]!];
      const told = [...closer.told];
      closer.socket.close();
      closer.socket.close();
      await other.is("ended");
      assertEquals(other.reason?.code, "LOST");
      assertEquals(other.reason?.message, "the other end closed the connection");
      assertEquals(closer.socket.write("late"), false);
      assertEquals(other.socket.write("late"), false);
      other.socket.close();
      closer.socket.pause();
      closer.socket.resume();
      await settled(() => other.told.length + closer.told.length);
      assertEquals(other.told.filter((told) => told === "ended").length, 1);
      assertEquals(closer.told, told);
    }
  },
);

overBoth("whoever closes from within what it is told hears no more", async (tls, trusted) => {
  await using place = await Place.open(tls);
  for (const when of ["data", "drained", "ended"] as const) {
    const [client, server] = await place.pair(trusted);
    const told: string[] = [];
    const { socket } = client;
    for (const name of ["data", "drained", "ended"] as const) {
      client[name] = () => {
        told.push(name);
        if (name === when) socket.close();
      };
    }
    if (when === "drained") {
      assertEquals(socket.write(new Uint8Array(MORE_THAN_FITS)), false);
      await until(() => told.length > 0);
    }
    server.socket.write("data");
    if (when === "ended") await until(() => told.length > 0);
    if (when === "ended") server.socket.close();
    await until(() => told.includes(when));
    if (when !== "ended") await server.is("ended");
    await settled(() => told.length);
    assertEquals(told, when === "ended" ? ["data", "ended"] : [when]);
  }
});

overBoth("a connection leaves nothing behind, whoever ends it", async (tls, trusted) => {
  await using place = await Place.open(tls);
  const before = openSockets();
  for (let n = 0; n < 6; n++) {
    const pair = await place.pair(trusted);
    pair[n % 2]!.socket.write(new Uint8Array(n < 3 ? 1 : MB));
    pair[n % 2]!.socket.close();
    await pair[1 - n % 2]!.is("ended");
  }
  await closedAllBut(before);
});

Deno.test("a reset by the other end is told as such", async () => {
  await using place = await Place.open();
  const peer = net.connect(place.listener.port, "127.0.0.1");
  peer.on("error", () => {});
  const server = await place.next();
  peer.resetAndDestroy();
  await server.is("ended");
  assertEquals(server.reason!.code, "LOST");
  assertStringIncludes(server.reason!.message, "the other end reset the connection");
  assertStringIncludes(String(server.reason!.cause), "ECONNRESET");
});

Deno.test("a connection that is reset while it is written to ends, and what is written later goes nowhere", async () => {
  await using place = await Place.open();
  const peer = net.connect(place.listener.port, "127.0.0.1");
  peer.on("error", () => {});
  const server = await place.next();
  server.socket.pause(); // so that it is the write that fails
  assertEquals(server.socket.write(new Uint8Array(MORE_THAN_FITS)), false);
  peer.resetAndDestroy();
  await server.is("ended");
  assertEquals(server.reason!.code, "LOST");
  assertEquals(server.socket.write("more"), false);
  assertEquals(server.told, ["ended"]);
});

Deno.test("a connection that ends before it is started says so then, and not before", async () => {
  await using place = await Place.open();
  const peer = await RawPeer.dial(place.listener.port);
  await until(() => place.accepted.length === 1);
  await peer.say("last words");
  await peer[Symbol.asyncDispose]();
  const server = await place.next();
  assertEquals(server.told, []);
  await server.is("ended");
  assertEquals(server.text, "last words");
});

// To connect.

Deno.test("an attempt that fails has a reason that people can read", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  for (
    const [hostname, reason] of [
      ["127.0.0.1", "the connection was refused"],
      ["no such host", ""],
      ["half a \0 host", ""],
    ] as const
  ) {
    for (const tls of [undefined, true] as const) {
      const end = new End();
      const socket = nodePlatform.connect({ hostname, port, tls }, end);
      assertEquals(end.told, [], "not before connect has returned");
      await end.is("ended");
      assertEquals(end.reason!.code, "LOST");
      assertStringIncludes(end.reason!.message, reason);
      assert(end.reason!.message.length > 10, end.reason!.message);
      assertEquals(end.told, ["ended"]);
      socket.close();
    }
  }
});

Deno.test("a host is also found by its name", async () => {
  await using place = await Place.open();
  const client = place.connect(undefined, "localhost");
  await client.is("opened");
  assertEquals(client.socket.address, `localhost:${place.listener.port}`);
});

Deno.test("what is written from within opened goes out, and who closes there hears no more", async () => {
  await using place = await Place.open();
  const talker = new End();
  talker.opened = () => talker.socket.write("hello");
  talker.socket = nodePlatform.connect(
    { hostname: "127.0.0.1", port: place.listener.port },
    talker,
  );
  await (await place.next()).hears("hello");
  const leaver = new End();
  leaver.opened = () => leaver.socket.close();
  leaver.socket = nodePlatform.connect(
    { hostname: "127.0.0.1", port: place.listener.port },
    leaver,
  );
  const other = await place.next();
  await other.is("ended");
  assertEquals(leaver.told, []);
  talker.socket.close();
});

for (const tls of [undefined, true] as const) {
  const over = tls ? "TLS" : "TCP";
  Deno.test(`over ${over}: an attempt can be given up at any moment, and leaves nothing`, async () => {
    const before = openSockets();
    {
      await using server = new RawServer();
      const { port } = server;
      for (
        const wait of [
          () => {},
          () => Promise.resolve(),
          () => new Promise((resolve) => setImmediate(resolve)),
          () => until(() => server.peers.length > 0), // over TLS it is in the handshake now
        ]
      ) {
        const end = new End();
        const socket = nodePlatform.connect({ hostname: "127.0.0.1", port, tls }, end);
        await wait();
        const told = [...end.told];
        socket.close();
        await settled(() => server.peers.length);
        for (const peer of server.peers.splice(0)) {
          await peer.end();
          peer.close();
        }
        assertEquals(end.told, told);
      }
      const end = new End();
      nodePlatform.connect({ hostname: "localhost", port, tls }, end).close(); // looks the name up
      await settled(() => openSockets());
      assertEquals(end.told, []);
    }
    await closedAllBut(before);
  });

  Deno.test(`over ${over}: an attempt that nobody answers can be given up, and leaves nothing`, async () => {
    // A listener that accepts nobody: once its queue is full, further attempts get no answer.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const before = openSockets();
    const ends = Array.from({ length: 10 }, () => {
      const end = new End();
      const { port } = listener.addr;
      end.socket = nodePlatform.connect({ hostname: "127.0.0.1", port, tls }, end);
      return end;
    });
    await settled(() => openSockets());
    assert(tls || ends.some(({ told }) => told.length === 0), "all were answered");
    for (const end of ends) end.socket.close();
    await closedAllBut(before);
    assert(ends.every(({ told }) => !told.includes("ended")));
  });
}

// TLS.

toolTest("a server's certificate is checked: who signed it, and whose it is", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const [tls, other] = [await certificate(openssl), await makeCertificate(openssl)];
  const named = await makeCertificate(openssl, { altName: "DNS:localhost" });
  await using place = await Place.open(tls);
  await using elsewhere = await Place.open(named);
  const before = Deno.env.get("NODE_TLS_REJECT_UNAUTHORIZED");
  try {
    for (const setting of ["1", "0"]) {
      Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", setting); // is for others
      for (
        const [at, trusted, hostname, good] of [
          [place, { caCert: tls.cert }, "127.0.0.1", true],
          [place, { caCert: other.cert }, "127.0.0.1", false],
          [place, { caCert: "none" }, "127.0.0.1", false],
          [place, true, "127.0.0.1", false],
          [place, { caCert: tls.cert }, "localhost", false],
          [elsewhere, { caCert: named.cert }, "localhost", true],
          [elsewhere, { caCert: named.cert }, "127.0.0.1", false],
        ] as const
      ) {
        const client = at.connect(trusted, hostname);
        const server = await at.next();
        if (good) {
          await client.is("opened");
          client.socket.write("hello");
          await server.hears("hello");
          continue;
        }
        await Promise.all([client.is("ended"), server.is("ended")]);
        assertEquals(client.told, ["ended"]);
        assertStringIncludes(client.reason!.message.toLowerCase(), "certificate");
        assertEquals([client.reason!.code, server.reason!.code], ["LOST", "LOST"]);
        assertEquals(server.heard, 0);
      }
    }
  } finally {
    if (before === undefined) Deno.env.delete("NODE_TLS_REJECT_UNAUTHORIZED");
    else Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", before);
  }
});

toolTest("a stranger who never completes the handshake is cut off at once, and leaves nothing", {
  openssl: "openssl",
}, async ({ openssl }) => {
  await using place = await Place.open(await certificate(openssl));
  const before = openSockets();
  for (const start of ["", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]) {
    await using peer = await RawPeer.dial(place.listener.port);
    await peer.say(Uint8Array.from(start, (c) => c.charCodeAt(0)));
    const server = await place.next();
    await until(() => openSockets() === before + 2 || openSockets() === 0);
    server.socket.close();
    await peer.end();
    await closedAllBut(before + 1);
    assertEquals(server.told, []);
  }
});

toolTest("a stranger who speaks no TLS is told of with a reason, and cut off", {
  openssl: "openssl",
}, async ({ openssl }) => {
  await using place = await Place.open(await certificate(openssl));
  for (const words of ["\x01011\n", "GET / HTTP/1.1\r\n\r\n", "\0".repeat(100)]) {
    await using peer = await RawPeer.dial(place.listener.port);
    await peer.say(words);
    const server = await place.next();
    await server.is("ended");
    assertEquals(server.told, ["ended"]);
    assertEquals(server.heard, 0);
    assert(!server.reason!.message.includes("closed"), server.reason!.message);
    await peer.end();
  }
});

toolTest(
  "who speaks TLS to a server that has none is told so",
  { openssl: "openssl" },
  async () => {
    await using place = await Place.open();
    const client = place.connect(true);
    const server = await place.next();
    await until(() => server.heard > 0);
    server.socket.write("I do not understand\n");
    await Promise.all([client.is("ended"), server.is("ended")]);
    assertEquals(client.told, ["ended"]);
  },
);

toolTest("garbage after the handshake ends the connection", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const tls = await certificate(openssl);
  await using place = await Place.open(tls);
  // Between the ends, somebody who adds to what passes.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = new End();
  const { port } = listener.addr;
  const options = { hostname: "127.0.0.1", port, tls: { caCert: tls.cert } };
  client.socket = nodePlatform.connect(options, client);
  const near = await listener.accept();
  const far = await Deno.connect({ hostname: "127.0.0.1", port: place.listener.port });
  const copies = [copy(near, far), copy(far, near)];
  const server = await place.next();
  await client.is("opened");
  client.socket.write("good");
  await server.hears("good");
  await far.write(new Uint8Array(100));
  await server.is("ended");
  assertEquals([server.text, server.told], ["good", ["ended"]]);
  assertStringIncludes(server.reason!.message, "corrupt message");
  await client.is("ended");
  near.close();
  far.close();
  await Promise.all(copies);
});

/** Passes on what comes, also the end of it, until one of the two is closed. */
async function copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let n; (n = await from.read(buffer)) !== null;) await to.write(buffer.subarray(0, n));
    await to.closeWrite();
  } catch {
    // Closed.
  }
}

toolTest("a certificate is replaced while connections go on, and a bad one changes nothing", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const [first, second] = [await certificate(openssl), await makeCertificate(openssl)];
  await using place = await Place.open(first);
  const [old] = await place.pair({ caCert: first.cert });
  for (
    const bad of [
      { cert: first.cert, key: second.key },
      { cert: "none", key: first.key },
      { cert: first.cert, key: "none" },
      { cert: first.cert, key: first.cert },
      { cert: first.key, key: first.cert },
      { cert: "", key: "" },
    ]
  ) {
    const error = assertThrows(() => place.listener.setTls(bad), LocalError);
    assertEquals(error.code, "BAD_ARGUMENT");
    assert(!error.message.includes("PRIVATE"), error.message);
  }
  await place.pair({ caCert: first.cert });
  place.listener.setTls(second);
  await place.pair({ caCert: second.cert });
  const late = place.connect({ caCert: first.cert });
  await Promise.all([late.is("ended"), place.next().then((server) => server.is("ended"))]);
  assertEquals(old.told, ["opened"]);
  await using plain = await Place.open();
  assertThrows(() => plain.listener.setTls(first), LocalError, "no TLS");
});

overBoth("a small write does not wait for the ack of the one before it", async (tls, trusted) => {
  await using place = await Place.open(tls);
  const [client, server] = await place.pair(trusted);
  const bare = net.createServer({ noDelay: true }, (socket) => {
    let heard = 0;
    socket.on("data", ({ length }) => (heard += length) % 2 === 0 && socket.write("!"));
  });
  await new Promise<void>((resolve) => bare.listen(0, "127.0.0.1", resolve));
  const peer = net.connect({ port: (bare.address() as net.AddressInfo).port, noDelay: true });
  const times: [number[], number[]] = [[], []];
  for (let round = 1; round <= 30; round++) {
    // Two writes, then an answer: with Nagle's algorithm the second waits for a delayed ack, 40 ms.
    let start = performance.now();
    server.onData = () => {
      if (server.heard === 2 * round) server.socket.write("!");
    };
    const answered = new Promise<void>((resolve) => client.onData = () => resolve());
    client.socket.write("a");
    await new Promise((resolve) => setImmediate(resolve));
    client.socket.write("b");
    await answered;
    times[0].push(performance.now() - start);
    start = performance.now();
    const answeredToo = new Promise((resolve) => peer.once("data", resolve));
    peer.write("a");
    await new Promise((resolve) => setImmediate(resolve));
    peer.write("b");
    await answeredToo;
    times[1].push(performance.now() - start);
  }
  peer.destroy();
  bare.close();
  const [ours, others] = times.map((times) => times.sort((a, b) => a - b)[times.length >> 1]!);
  assert(ours! < 20 * others!, `${ours} ms, and ${others} ms between others`);
});
