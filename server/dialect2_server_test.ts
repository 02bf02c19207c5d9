/** Dialect 2 over real sockets: metadata, log lines, replaced connections, both dialects, positions. */
import { assert, assertEquals } from "@std/assert";
import {
  dial,
  greet,
  KEY,
  locked,
  OTHER_KEY,
  SHORT,
  SHORTEST,
  turnedAway,
} from "../tests/support/callers.ts";
import { helloLine, parseWelcome } from "../tests/support/greeting.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";

// What a device reports about itself.

Deno.test("a device's metadata can be read from the server, and is in its log", async () => {
  for (const options of [{}, locked]) {
    await using scene = await Scene.start(options);
    const metadata = "reset=watchdog version=0.1.0 ort=küche";
    const [client] = dial(scene.server, { metadata, ...(options === locked && { key: KEY }) });
    await using _ = client;
    const device = await scene.server.device("1");
    await client.ready();
    const [, said, ms] = device.metadata.match(/^(.*) ms=(\d{10})$/)!;
    assertEquals([device.id, said], ["1", metadata]);
    assert(Number(ms) <= Date.now() % 2 ** 32);
    assertEquals(
      (await scene.logs("connected")).metadata,
      metadata,
      "the log leaves out the device's milliseconds",
    );
  }
});

Deno.test("metadata are those of the newest connection", async () => {
  await using scene = await Scene.start();
  for (const metadata of ["reset=power-on", "reset=software", ""]) {
    await using peer = await greet(scene, { id: metadata ? `1\t${metadata}` : "1" });
    const device = await scene.server.device("1");
    await until(() => device.connected && device.metadata === metadata);
    peer.close();
    await until(() => !device.connected);
    assertEquals(device.metadata, metadata, "after it has gone, too");
  }
  const [, oldBoard] = await scene.device("1");
  assertEquals((await scene.server.device("1")).metadata, "");
  oldBoard.close();
});

Deno.test("a device's own log lines are logged as its own, and the application never sees them", async () => {
  await using scene = await Scene.start();
  const peer = await greet(scene);
  const device = await scene.server.device("1");
  await peer.say("00one\n01\x01heap 20000\n02two\n03\x01\x1b[2J\u202e\r\0\x9b\n04\x01\n05three\n");
  assertEquals(
    [await device.readline(), await device.readline(), await device.readline()],
    ["one", "two", "three"],
  );
  await until(() => peer.lines.includes("05"));
  const entries = scene.log.filter(({ event }) => event === "log");
  assertEquals(entries.map(({ device, message }) => [device, message]), [
    ["1", "heap 20000"],
    ["1", "\\u001b[2J\\u202e\\u000d\\u0000\\u009b"],
    ["1", ""],
  ]);
});

Deno.test("log lines count against the same credit as messages: a flood of them ends the connection", async () => {
  await using scene = await Scene.start({ limits: { lineBytes: 128 } });
  const peer = await greet(scene);
  const line = "x".repeat(120);
  const flood = (n: number) => `${(n & 255).toString(16).padStart(2, "0")}\x01${line}\n`;
  await peer.sayIfHeard(Array.from({ length: 65 }, (_, n) => flood(n)).join(""));
  await peer.end();
  assertEquals((await scene.logs("disconnected")).code, "CREDIT");
});

// Who replaces whom.

Deno.test("an unproven hello does not replace the live connection, with a key or without", async () => {
  await Promise.all([KEY, undefined].map(async (key) => {
    await using scene = await Scene.start({ timeout: SHORTEST, ...(key ? locked : {}) });
    const [client] = dial(scene.server, { timeout: SHORTEST, ...(key ? { key } : {}) });
    await using _ = client;
    const device = await scene.server.device("1");
    const peer = await scene.dial(`${helloLine({ suite: key ? "02" : "00" })}\n`);
    await until(() => peer.lines.length > 0);
    await turnedAway(scene, peer, "NO_HELLO");
    assertEquals([device.connects, device.connected], [1, true]);
    await client.write("still here");
    assertEquals(await device.readline(), "still here");
  }));
});

Deno.test("the newest proven connection wins over the live one", async () => {
  await using scene = await Scene.start(locked);
  const older = await greet(scene, { key: KEY });
  const device = await scene.server.device("1");
  await until(() => device.connected);
  const newer = await greet(scene, { key: KEY, nonce: "9".repeat(32) });
  await older.end();
  await newer.say("00from the newer\n");
  assertEquals(await device.readline(), "from the newer");
  assertEquals([device.connects, scene.codes("replaced").length], [2, 1]);
});

Deno.test("of two that greet at the same time, one has a stale welcome, and may connect again", async () => {
  await using scene = await Scene.start();
  const peers = [];
  for (let n = 0; n < 2; n++) {
    const peer = await scene.dial(`${helloLine({ txEpoch: 5 + n })}\n`);
    await until(() => peer.lines.length > 0);
    peers.push(peer);
  }
  await peers[1]!.say("00from the second\n");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "from the second");
  await peers[0]!.say("00from the first\n");
  await turnedAway(scene, peers[0]!, "STALE_GREETING");
  assertEquals(device.connected, true);
});

Deno.test("two devices under one name and key replace each other, and no other device notices", async () => {
  await using scene = await Scene.start({
    open: false,
    timeout: SHORT,
    keys: [["1", KEY], ["bystander", OTHER_KEY]],
    app: async (device) => {
      for await (const line of device) await device.write(`heard ${line}`);
    },
  });
  const [bystander] = dial(scene.server, { id: "bystander", key: OTHER_KEY, timeout: SHORT });
  await using _ = bystander;
  await bystander.ready();
  const [first] = dial(scene.server, { key: KEY, timeout: SHORT });
  {
    await using _ = first;
    const [second] = dial(scene.server, { key: KEY, timeout: SHORT });
    await using __ = second;
    await until(() => scene.codes("replaced").length >= 4);
    await bystander.write("all well?");
    assertEquals(await bystander.readline(), "heard all well?");
    await second.close();
    await first.write("alone again");
    const told = await first.readline();
    assertEquals(told, "heard alone again");
  }
  assertEquals(bystander.connects, 1);
  for (const { device } of scene.log.filter(({ event }) => event === "replaced")) {
    assertEquals(device, "1");
  }
});

// Hellos of both dialects.

Deno.test("hellos of both dialects on one connection: the second one is BAD_LINE", async () => {
  for (
    const [first, second, dialect] of [
      ["1\n", `${helloLine()}\n`, 1],
      [`${helloLine()}\n`, "kitchen\n", 2],
      [`${helloLine()}\n`, `${helloLine()}\n`, 2],
      ["1\n", "kitchen\n", 1],
    ] as const
  ) {
    await using scene = await Scene.start();
    const peer = await scene.dial(first);
    await until(() => peer.heard.includes("\n"));
    await peer.sayIfHeard(second);
    await peer.end();
    assertEquals((await scene.logs("disconnected")).code, "BAD_LINE");
    assertEquals((await scene.logs("connected")).dialect, dialect);
  }
});

Deno.test("hellos of both dialects, interleaved on two connections of one device: the later one wins", async () => {
  await using scene = await Scene.start();
  const [one, two] = [await scene.dial(), await scene.dial()];
  const hello = `${helloLine()}\n`;
  await one.say("1");
  await two.say(hello.slice(0, 40));
  await one.say("\n00in dialect 1\n");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "in dialect 1");
  await two.say(hello.slice(40));
  await until(() => two.lines.length > 0);
  await one.say("01still in dialect 1\n");
  assertEquals(await device.readline(), "still in dialect 1");
  await two.say("00in dialect 2\n");
  assertEquals(await device.readline(), "in dialect 2");
  await one.end();
  const three = await scene.dial("1\n00and back\n");
  assertEquals(await device.readline(), "and back");
  await two.end();
  await three.hears("00");
  assertEquals(device.connects, 3);
});

// Positions.

Deno.test("a position beyond what was ever sent is logged: STORE_IS_OLD; held messages are sent again", async () => {
  await using scene = await Scene.start();
  const first = await greet(scene);
  const device = await scene.server.device("1");
  const written = device.write("from an old copy");
  await first.hears("00from an old copy");
  const { txEpoch } = parseWelcome(first.lines[0]!);
  const peer = await greet(scene, { rxEpoch: txEpoch, rxNext: 1000 });
  const { code } = await scene.logs("warning");
  assertEquals(code, "STORE_IS_OLD");
  assert(parseWelcome(peer.lines[0]!).txEpoch !== txEpoch);
  await peer.hears("00from an old copy");
  await peer.say("00\n");
  assertEquals(await written, true);
});

for (
  const [code, what, line] of [
    ["BAD_POSITION", "an ack for what was never sent", "05\n"],
    ["GAP", "a message out of order", "07text\n"],
    ["BAD_UTF8", "a line that is not UTF-8", new Uint8Array([48, 48, 0xff, 10])],
    ["LINE_TOO_LONG", "a line longer than the server takes", `00${"x".repeat(16385)}\n`],
  ] as const
) {
  Deno.test(`${what} closes the connection with ${code}, and the device can come back`, async () => {
    await using scene = await Scene.start();
    const peer = await greet(scene);
    const device = await scene.server.device("1");
    await peer.sayIfHeard(line);
    await peer.end();
    assertEquals((await scene.logs("disconnected")).code, code);
    const back = await greet(scene);
    await back.say("00well again\n");
    assertEquals(await device.readline(), "well again");
  });
}
