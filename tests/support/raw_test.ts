import { assertEquals, assertRejects } from "@std/assert";
import { RawPeer, RawServer, stuff } from "./raw.ts";
import { until } from "./wait.ts";

Deno.test("a raw server and a raw peer exchange bytes, and learn how the connection ended", async () => {
  await using server = new RawServer((peer, index) => void peer.sayIfHeard(`welcome ${index}\n`));
  await using peer = await RawPeer.dial(server.port);
  await peer.say("one\n\ntwo\nthr");
  const other = await server.peer(0);
  await other.hears("one", "two");
  await peer.hears("welcome 0");
  assertEquals(other.lines, ["one", "two"]);
  await until(() => other.heard.endsWith("thr"));
  peer.close();
  assertEquals(await other.end(), "closed");
  await peer.end();
});

Deno.test("a server is closed when its callbacks for all peers have ended, also those for silent peers", async () => {
  const heard: (string | undefined)[] = [];
  {
    await using server = new RawServer(async (peer) => void heard.push(await peer.firstLine()));
    await using talker = await RawPeer.dial(server.port);
    await talker.say("hello\nhal");
    await until(() => heard.length === 1);
    await RawPeer.dial(server.port).then((peer) => peer[Symbol.asyncDispose]());
    await using silent = await RawPeer.dial(server.port);
    await server.peer(2);
    assertEquals(silent.ended, undefined);
  }
  assertEquals(heard, ["hello", undefined, undefined]);
});

Deno.test("a peer that starts to read late receives everything", async () => {
  await using server = new RawServer();
  await using peer = await RawPeer.dial(server.port, { reads: false });
  await (await server.peer(0)).say("early\n");
  assertEquals(peer.heard, "");
  peer.read();
  await peer.hears("early");
});

Deno.test("a peer that is kept alive sends keepalives until it is closed", async () => {
  await using server = new RawServer((peer) => peer.keepAlive(1, "still\n"));
  await using peer = await RawPeer.dial(server.port);
  await until(() => peer.lines.length > 2);
  (await server.peer(0)).close();
  await peer.end();
  assertEquals(await peer.sayIfHeard("late").then(() => "tried"), "tried");
});

Deno.test("stuffing ends when nothing is taken any more, or fails", async () => {
  let room = 5;
  await stuff({ write: () => Promise.resolve(room-- > 0) });
  assertEquals(room < 0, true);
  await assertRejects(
    () => stuff({ write: () => Promise.reject(new Error("gone")) }),
    Error,
    "gone",
  );
});
