/** What TLS adds to connections of the real platform. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { makeCertificate } from "../../tests/support/certificate.ts";
import { inOwnProcess } from "../../tests/support/own_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import {
  certificate,
  closedAllBut,
  End,
  Place,
  socketCounter,
} from "../../tests/support/sockets.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../protocol/errors.ts";
import { nodePlatform } from "./node.ts";

toolTest(
  "a server's certificate is checked, whatever the environment says: its issuer and its name",
  {
    openssl: "openssl",
  },
  ({ openssl }, t) =>
    inOwnProcess(t, async () => {
      const [tls, other] = [await certificate(openssl), await makeCertificate(openssl)];
      const named = await makeCertificate(openssl, { altName: "DNS:localhost" });
      await using place = await Place.open(tls);
      await using elsewhere = await Place.open(named);
      const before = Deno.env.get("NODE_TLS_REJECT_UNAUTHORIZED");
      try {
        for (const setting of ["1", "0"]) {
          Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", setting);
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
    }),
);

toolTest("a peer that never completes the handshake can be closed at once, and leaves no socket", {
  openssl: "openssl",
}, ({ openssl }, t) =>
  inOwnProcess(t, async () => {
    await using place = await Place.open(await certificate(openssl));
    const opened = socketCounter();
    for (const start of ["", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]) {
      await using peer = await RawPeer.dial(place.listener.port);
      await peer.say(Uint8Array.from(start, (c) => c.charCodeAt(0)));
      const server = await place.next();
      await until(() => opened() === 2 || Deno.build.os !== "linux");
      server.socket.close();
      await peer.end();
      await closedAllBut(1, opened);
      assertEquals(server.told, []);
    }
  }));

toolTest("a peer without TLS is disconnected, and reported with a reason", {
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
  "a client that speaks TLS to a server without it gets an error",
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
  // A proxy between the ends, which adds bytes.
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

/** Forwards bytes and their end until one of the two connections is closed. */
async function copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let n; (n = await from.read(buffer)) !== null;) await to.write(buffer.subarray(0, n));
    await to.closeWrite();
  } catch {
    // One of them was closed.
  }
}

toolTest("a certificate is replaced while connections continue; a bad one changes nothing", {
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
