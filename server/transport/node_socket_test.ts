/** Connections of the real platform, over TCP and over TLS. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import net from "node:net";
import { inOwnProcess } from "../../tests/support/own_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import {
  closedAllBut,
  MB,
  MORE_THAN_FITS,
  overBoth,
  Place,
  settled,
  socketCounter,
} from "../../tests/support/sockets.ts";
import { until } from "../../tests/support/wait.ts";

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

overBoth("large writes arrive whole and in order, in any pieces", async (tls, trusted) => {
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

overBoth("nothing is read before start, and nothing is lost", async (tls, trusted) => {
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
  "a paused socket makes the other end wait, and gets everything after it is resumed",
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

overBoth("taken shows whether a slow reader reads anything", async (tls, trusted) => {
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
  "a close is reported once to the other end, and never to the end that closed",
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

overBoth(
  "after an owner has closed the socket in a callback it gets no more callbacks",
  async (tls, trusted) => {
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
  },
);

overBoth(
  "a connection leaves no socket behind, whichever end closes it",
  (tls, trusted, t) =>
    inOwnProcess(t, async () => {
      await using place = await Place.open(tls);
      const opened = socketCounter();
      for (let n = 0; n < 6; n++) {
        const pair = await place.pair(trusted);
        pair[n % 2]!.socket.write(new Uint8Array(n < 3 ? 1 : MB));
        pair[n % 2]!.socket.close();
        await pair[1 - n % 2]!.is("ended");
      }
      await closedAllBut(0, opened);
    }),
);

Deno.test("a reset by the other end is reported as a reset", async () => {
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

Deno.test("a connection that is reset during a write ends, and later writes are dropped", async () => {
  await using place = await Place.open();
  const peer = net.connect(place.listener.port, "127.0.0.1");
  peer.on("error", () => {});
  const server = await place.next();
  server.socket.pause(); // so that the write fails, not the reading
  assertEquals(server.socket.write(new Uint8Array(MORE_THAN_FITS)), false);
  peer.resetAndDestroy();
  await server.is("ended");
  assertEquals(server.reason!.code, "LOST");
  assertEquals(server.socket.write("more"), false);
  assertEquals(server.told, ["ended"]);
});

Deno.test("a connection that ends before start reports that only after start", async () => {
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

overBoth("a small write does not wait for the ack of an earlier one", async (tls, trusted) => {
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
