/** Connections over real sockets: hellos, lines, and how connections come and go. */
import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { locked } from "../tests/support/callers.ts";
import { helloLine, refusal } from "../tests/support/greeting.ts";
import { FaultProxy } from "../tests/support/proxy.ts";
import { type RawPeer, stuff } from "../tests/support/raw.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { MemoryStore } from "./mod.ts";

// Hellos.

Deno.test("a hello may come byte by byte", async () => {
  await using scene = await Scene.start();
  const peer = await scene.dial();
  for (const byte of "küche\n00warm\n") {
    await peer.say(byte);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const device = await scene.server.device("küche");
  assertEquals(await device.readline(), "warm");
});

Deno.test("a message in the same segment as the hello is not lost", async () => {
  await using scene = await Scene.start();
  const peer = await scene.dial("1\n00first\n\n01second\n");
  const device = await scene.server.device("1");
  assertEquals([await device.readline(), await device.readline()], ["first", "second"]);
  await peer.hears("00", "01");
});

Deno.test("a malformed hello ends its own connection and nothing else", async () => {
  const hellos: [string | Uint8Array, string][] = [
    ["\n", "BAD_HELLO"],
    ["a\rb\n", "BAD_HELLO"],
    ["a\0\n", "BAD_HELLO"],
    ["a\x7f\n", "BAD_HELLO"],
    [new Uint8Array([97, 0xff, 10]), "BAD_HELLO"],
    [new Uint8Array([0xc3, 10]), "BAD_HELLO"],
    ["\x01\n", "BAD_GREETING"],
    ["\x02\n", "BAD_HELLO"],
    ["\x16\x03\x01\x02\n", "BAD_HELLO"], // TLS
    ["a\tversion=1\n", "BAD_HELLO"],
    [`${"x".repeat(321)}\n`, "HELLO_TOO_LONG"],
    ["x".repeat(321), "HELLO_TOO_LONG"],
    ["x".repeat(10_000), "HELLO_TOO_LONG"],
  ];
  for (const [hello, code] of hellos) {
    await using scene = await Scene.start();
    const [device, bystander] = await scene.device("bystander");
    const peer = await scene.dial();
    await peer.sayIfHeard(hello);
    await peer.end();
    await scene.logs("refused", code);
    await bystander.say("00still here\n");
    assertEquals(await device.readline(), "still here");
    assertEquals(scene.server.devices, [device]);
  }
});

Deno.test("a refused peer reads why, even if it sent more than the server had read", async () => {
  await using scene = await Scene.start({ ...locked, timeout: 8000 });
  for (let n = 1; n <= 10; n++) {
    const peer = await scene.dial("", { reads: false });
    await peer.sayIfHeard(`${helloLine({ id: "2" })}\n${"more\n".repeat(30_000)}`);
    await until(() => scene.codes("refused").length === n);
    peer.read();
    assertEquals([await peer.end(), peer.heard], ["closed", refusal("01")]);
    peer.close();
  }
});

Deno.test("the longest id, and ids that look strange, are accepted", async () => {
  await using scene = await Scene.start();
  for (
    const id of ["x".repeat(320), "é".repeat(160), " ", "00", "__proto__", "\ufeff", "\ufeff1"]
  ) {
    await scene.dial(`${id}\n`);
    assertEquals((await scene.server.device(id)).id, id);
  }
});

Deno.test("a peer that sends no hello is dropped after the timeout, and holds nobody up", async () => {
  await using scene = await Scene.start({ timeout: 300 });
  const mute = await scene.dial();
  const halting = await scene.dial("half a hel");
  await scene.isWell();
  await mute.end();
  await halting.end();
  const { message = "" } = await scene.logs("refused", "NO_HELLO");
  assertStringIncludes(message, "300 ms");
});

Deno.test("a peer that leaves before its hello is logged as LOST, and disturbs nobody", async () => {
  await using scene = await Scene.start();
  (await scene.dial("half a hel")).close();
  await scene.logs("refused", "LOST");
  await scene.isWell();
});

// Lines.

Deno.test("a character cut in two by a segment arrives whole", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  for (const byte of new TextEncoder().encode("00grün 🐙\n")) {
    await peer.say(new Uint8Array([byte]));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(await device.readline(), "grün 🐙");
});

for (
  const [what, line, code] of [
    ["that is not UTF-8", new Uint8Array([48, 49, 0xff, 10]), "BAD_UTF8"],
    ["without an id", "hello\n", "BAD_LINE"],
    ["whose id is in upper case", "0Ahello\n", "BAD_LINE"],
    ["that is too long", `01${"x".repeat(16 * 1024 + 1)}\n`, "LINE_TOO_LONG"],
    ["that never ends", `01${"x".repeat(100_000)}`, "LINE_TOO_LONG"],
  ] as const
) {
  Deno.test(`a line ${what} ends the connection with a named error; nothing before it is lost`, async () => {
    await using scene = await Scene.start();
    const [device, peer] = await scene.device("1");
    await peer.sayIfHeard("00good\n");
    await peer.sayIfHeard(line);
    await peer.end();
    assertEquals((await scene.logs("disconnected")).code, code);
    assertEquals(await device.readline(), "good");
    const [same, again] = await scene.device("1");
    assertStrictEquals(same, device);
    await again.say("00good\n01better\n");
    assertEquals(await device.readline(), "better");
  });
}

Deno.test("the longest line passes, in both directions", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  const text = "é".repeat(8 * 1024);
  await peer.say(`00${text}\n`);
  assertEquals(await device.readline(), text);
  const written = device.write(text);
  await peer.hears(`00${text}`);
  await peer.say("00\n");
  assertEquals(await written, true);
});

Deno.test("random bytes end connections, never the server", async () => {
  await using scene = await Scene.start();
  let state = 1;
  const random = (below: number) => {
    state = Math.imul(state, 1103515245) + 12345 & 0x7fffffff;
    return (state >> 8) % below;
  };
  for (let round = 0; round < 100; round++) {
    const peer = await scene.dial();
    if (random(2)) await peer.say(`device ${random(5)}\n`);
    const alphabet = random(2) ? 256 : 128;
    const bytes = Uint8Array.from(
      { length: 1 + random(600) },
      () => random(6) ? random(alphabet) : [10, 48, 49, 97][random(4)]!,
    );
    await peer.sayIfHeard(bytes);
    peer.close();
  }
  await scene.isWell();
  const codes = new Set([...scene.codes("disconnected"), ...scene.codes("refused")]);
  assert(codes.has("BAD_LINE") && codes.has("BAD_UTF8"), [...codes].join());
});

// Connections that come and go.

Deno.test("a half-open socket does not lock its owner out: the newest connection wins", async () => {
  await using scene = await Scene.start();
  await using proxy = await FaultProxy.start({ target: { port: scene.server.port } });
  await scene.dial("1\n00before\n", { port: proxy.port });
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "before");
  proxy.halfOpen();
  const written = device.write("to whoever is there");
  const back = await scene.dial("1\n01after\n");
  assertEquals(await device.readline(), "after");
  await back.hears("00to whoever is there");
  await back.say("00\n");
  assertEquals(await written, true);
  assertEquals([device.connects, device.connected], [2, true]);
  assertEquals(scene.codes("replaced").length, 1);
  assertEquals(scene.codes("disconnected"), []);
});

Deno.test("the older of two live connections is closed, and what it says no longer counts", async () => {
  await using scene = await Scene.start();
  const [device, older] = await scene.device("1");
  const [, newer] = await scene.device("1");
  assertEquals(await older.end(), "closed");
  await older.sayIfHeard("00from the older\n");
  await newer.say("00from the newer\n");
  assertEquals(await device.readline(), "from the newer");
  assertEquals(device.connected, true);
});

Deno.test("connections that replace one another in quick succession leave the last one", async () => {
  await using scene = await Scene.start();
  const peers = await Promise.all(Array.from({ length: 30 }, () => scene.dial("1\n\n")));
  const device = await scene.server.device("1");
  await until(() => device.connects === 30);
  await until(() => peers.filter(({ ended }) => ended).length === 29);
  const last = peers.find(({ ended }) => !ended)!;
  await last.say("00I am the one\n");
  assertEquals(await device.readline(), "I am the one");
  assertEquals(device.connected, true);
});

Deno.test("a device that leaves is noticed, and reported differently from one that is dropped", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  peer.close();
  await until(() => !device.connected);
  assertEquals(scene.codes("disconnected"), ["LOST"]);
});

Deno.test("a silent device is dropped as SILENT; the others notice nothing", async () => {
  await using scene = await Scene.start({ timeout: 500 });
  const [device, lively] = await scene.device("lively");
  lively.keepAlive(50);
  const [silent, peer] = await scene.device("silent");
  await peer.end();
  await until(() => !silent.connected);
  const entry = scene.log.find(({ event }) => event === "disconnected");
  assertEquals([entry?.device, entry?.code], ["silent", "SILENT"]);
  await lively.say("00still here\n");
  assertEquals(await device.readline(), "still here");
});

Deno.test("a peer that never reads is dropped as STALLED, and its messages are kept", async () => {
  await using scene = await Scene.start({ timeout: 1000 });
  const peer = await scene.dial("1\n\n", { reads: false });
  peer.keepAlive(10, "ff\n");
  const device = await scene.server.device("1");
  await until(() => device.connected);
  await stuff(device);
  const kept = device.write("do not lose this");
  const { code } = await scene.logs("disconnected");
  assertEquals(code, "STALLED");
  const [, back] = await scene.device("1");
  const line = await until(() => back.lines.find((line) => line.endsWith("do not lose this")));
  await back.say(`${line.slice(0, 2)}\n`);
  assertEquals(await kept, true);
});

Deno.test("connections over the limit are refused, until others leave", async () => {
  await using scene = await Scene.start({ limits: { connections: 3 } });
  const [, first] = await scene.device("1");
  await scene.device("2");
  await scene.device("3");
  for (let n = 0; n < 50; n++) {
    const peer = await scene.dial();
    await peer.sayIfHeard("4\n");
    await peer.end();
  }
  await scene.logs("refused", "TOO_MANY_CONNECTIONS");
  assert(scene.codes("refused").length < 50, "not every refusal of a flood is logged");
  assertEquals(scene.server.devices.map(({ id }) => id), ["1", "2", "3"]);
  first.close();
  await scene.logs("disconnected", "LOST");
  await scene.device("4");
});

Deno.test("a flood of connections without a complete hello keeps no device out, and no device loses its link", async () => {
  await using scene = await Scene.start({ limits: { connections: 4 } });
  const [served, peer] = await scene.device("served");
  const silent: RawPeer[] = [];
  for (let n = 0; n < 30; n++) silent.push(await scene.dial(n % 2 ? "half a hel" : "\x0100"));
  const [, late] = await scene.device("late"); // while all places are taken
  for (let n = 0; n < 30; n++) silent.push(await scene.dial());
  const ended = () => silent.filter((it) => it.ended !== undefined).length;
  await until(() => ended() === 58, { what: () => `the end of 58, not ${ended()}` });
  assert(silent.slice(-2).every((it) => it.ended === undefined), "the newest are those left");
  await scene.logs("refused", "TOO_MANY_CONNECTIONS");
  await peer.say("00still here\n");
  await late.say("00here, too\n");
  assertEquals(await served.readline(), "still here");
  assertEquals(await (await scene.server.device("late")).readline(), "here, too");
  assertEquals(scene.codes("disconnected"), []);
});

Deno.test("a peer that never answers its welcome gives up its place to a device", async () => {
  await using scene = await Scene.start({ limits: { connections: 1 } });
  const deaf = await scene.dial(`${helloLine()}\n`);
  await until(() => deaf.lines.length > 0);
  await scene.device("1");
  await deaf.end();
});

Deno.test("devices over the limit are refused, but those known before are not", async () => {
  const store = new MemoryStore();
  {
    await using before = await Scene.start({ store });
    await before.device("old");
  }
  await using scene = await Scene.start({ store, limits: { devices: 2 } });
  await scene.device("new");
  const stranger = await scene.dial("stranger\n");
  await stranger.end();
  await scene.logs("refused", "TOO_MANY_DEVICES");
  await scene.device("old");
  await scene.device("new");
  assertEquals((await store.list()).length, 2);
});

Deno.test("a peer that does the same again and again is logged for a while, then counted", async () => {
  await using scene = await Scene.start();
  let events = 0;
  scene.server.events.subscribe(() => void events++);
  for (let n = 0; n < 200; n++) {
    const peer = await scene.dial("x\nx\n");
    await peer.end();
  }
  await scene.device("bystander");
  const about = scene.log.filter(({ device }) => device === "x").length;
  assert(about > 20 && about < 200, `${about} entries`);
  assert(events > 400, `${events} events`);
  assert(scene.log.some(({ device, event }) => device === "bystander" && event === "connected"));
  await scene.server.close();
  assertEquals(scene.log.at(-1)?.event, "closed");
  assertEquals(scene.log.at(-2)?.code, "UNSAID");
  const unsaid = scene.log.reduce((sum, { unsaid = 0 }) => sum + unsaid, 0);
  assertEquals(about + unsaid, 400);
});

Deno.test("the log has the id that a refused peer claimed", async () => {
  await using scene = await Scene.start({ open: false, stock: ["1"] });
  await (await scene.dial("kitchen\n")).end();
  await (await scene.dial(`${helloLine({ id: "hall" })}\n`)).end();
  await (await scene.dial("\x07\n")).end();
  const who = () => scene.log.filter(({ event }) => event === "refused").map((it) => it.claimed);
  await until(() => who().length === 3);
  assertEquals(who(), ["kitchen", "hall", undefined]);
});
