/** Attempts of the real platform to connect. */
import dns from "node:dns";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { inOwnProcess } from "../../tests/support/own_process.ts";
import { RawServer } from "../../tests/support/raw.ts";
import { closedAllBut, End, Place, settled, socketCounter } from "../../tests/support/sockets.ts";
import { until } from "../../tests/support/wait.ts";
import { PeerError } from "../protocol/errors.ts";
import { nodePlatform } from "./node.ts";

Deno.test("a failed attempt has a readable reason", async () => {
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

Deno.test("a name that was looked up before is not looked up again", async () => {
  await using place = await Place.open();
  const end = new End();
  const { port } = place.listener;
  end.socket = nodePlatform.connect(
    { hostname: "no-such-host.invalid", addresses: ["127.0.0.1"], port },
    end,
  );
  await end.is("opened");
  assertEquals(end.socket.hostname, "no-such-host.invalid");
  end.socket.close();
});

type Answered = (error: Error | null, addresses: dns.LookupAddress[]) => void;

/** The result of a lookup. */
function lookup(hostname: string): Promise<readonly string[] | PeerError> {
  return new Promise((resolve) => {
    let early = true;
    nodePlatform.resolve(hostname, (found) => {
      assert(!early, "not before resolve has returned");
      resolve(found);
    });
    early = false;
  });
}

Deno.test("a lookup gives addresses, or a readable reason", async () => {
  for (const [name, one] of [["localhost", /^(127\.0\.0\.1|::1)$/], ["::1", /^::1$/]] as const) {
    const found = await lookup(name);
    assert(Array.isArray(found) && one.test(found[0]), `${name}: ${found}`);
  }
  for (const name of ["no such host", "half a \0 host", "no-such-host.invalid", ""]) {
    const found = await lookup(name);
    assert(found instanceof PeerError, `${name}: ${found}`);
    assertEquals(found.code, "NO_ADDRESS");
    assertStringIncludes(
      found.message,
      `the name ${JSON.stringify(name)} could not be looked up: `,
    );
  }
});

Deno.test("a lookup that was given up does not call back", async () => {
  const real = dns.lookup;
  const answered = Promise.withResolvers<void>();
  // One lookup may overtake another: the end of this one is seen only here.
  const watched = (name: string, options: dns.LookupAllOptions, callback: Answered) =>
    real(name, options, (...answer) => {
      callback(...answer);
      answered.resolve();
    });
  dns.lookup = watched as typeof dns.lookup;
  try {
    nodePlatform.resolve("localhost", () => answered.reject(new Error("it was given up")))();
    await answered.promise;
  } finally {
    dns.lookup = real;
  }
});

Deno.test("a write in the opened callback is sent, and after a close there no callback comes", async () => {
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
  Deno.test(`over ${over}: an attempt can be given up at any moment, and leaves no socket`, (t) =>
    inOwnProcess(t, async () => {
      const opened = socketCounter();
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
        await settled(opened);
        assertEquals(end.told, []);
      }
      await closedAllBut(0, opened);
    }));

  Deno.test(`over ${over}: an attempt that nobody answers can be given up, and leaves no socket`, (t) =>
    inOwnProcess(t, async () => {
      // A listener that accepts nobody: once its queue is full, further attempts get no answer.
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
      const opened = socketCounter();
      const ends = Array.from({ length: 10 }, () => {
        const end = new End();
        const { port } = listener.addr;
        end.socket = nodePlatform.connect({ hostname: "127.0.0.1", port, tls }, end);
        return end;
      });
      await settled(opened);
      assert(tls || ends.some(({ told }) => told.length === 0), "all were answered");
      for (const end of ends) end.socket.close();
      await closedAllBut(0, opened);
      assert(ends.every(({ told }) => !told.includes("ended")));
    }));
}
