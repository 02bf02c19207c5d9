import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { helloLine } from "../tests/support/greeting.ts";
import { FaultProxy } from "../tests/support/proxy.ts";
import { type RawPeer, stuff } from "../tests/support/raw.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { LocalError, MemoryStore, Server, type ServerOptions } from "./mod.ts";

function isClosed(error: unknown): boolean {
  return error instanceof LocalError && error.code === "CLOSED";
}

// What a server can be told.

Deno.test("a server that is not told who may connect does not start, and says why", async () => {
  const error = await assertRejects(() => Server.listen({ port: 0 }), LocalError, "--open");
  assertEquals(error.code, "NOT_OPEN");
});

Deno.test("arguments out of range are refused by name", async () => {
  const wrong: [ServerOptions, string][] = [
    [{ port: -1 }, "port"],
    [{ port: 65536 }, "port"],
    [{ port: 1.5 }, "port"],
    [{ port: NaN }, "port"],
    [{ timeout: 99 }, "timeout"],
    [{ timeout: 3_600_001 }, "timeout"],
    [{ timeout: Infinity }, "timeout"],
    [{ limits: { inbox: 0 } }, "limits.inbox"],
    [{ limits: { lineBytes: 0.5 } }, "limits.lineBytes"],
    [{ limits: { outboxAge: 0 } }, "limits.outboxAge must be 1 to 2147483648"],
    [{ limits: { outboxAge: -1 } }, "limits.outboxAge"],
    [{ limits: { outboxAge: NaN } }, "limits.outboxAge"],
  ];
  for (const [options, name] of wrong) {
    const listening = () => Server.listen({ port: 0, open: true, ...options });
    const error = await assertRejects(listening, LocalError, name);
    assertEquals(error.code, "BAD_ARGUMENT");
  }
});

Deno.test("a port in use is an error of the operating system", async () => {
  await using scene = await Scene.start();
  const { port } = scene.server;
  const error = await assertRejects(
    () => Server.listen({ hostname: "127.0.0.1", port, open: true }),
    Error,
  );
  assertEquals((error as { code?: string }).code, "EADDRINUSE");
});

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

Deno.test("a hello that is none ends its own connection and nothing else", async () => {
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

Deno.test("the longest id, and one that looks strange, are ids", async () => {
  await using scene = await Scene.start();
  for (
    const id of ["x".repeat(320), "é".repeat(160), " ", "00", "__proto__", "\ufeff", "\ufeff1"]
  ) {
    await scene.dial(`${id}\n`);
    assertEquals((await scene.server.device(id)).id, id);
  }
});

Deno.test("one that says no hello is dropped after the timeout, and holds nobody up", async () => {
  await using scene = await Scene.start({ timeout: 300 });
  const mute = await scene.dial();
  const halting = await scene.dial("half a hel");
  await scene.isWell();
  await mute.end();
  await halting.end();
  const { message = "" } = await scene.logs("refused", "NO_HELLO");
  assertStringIncludes(message, "300 ms");
});

Deno.test("a peer that leaves before its hello is none of our concern", async () => {
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
  Deno.test(`a line ${what} ends the connection by name; nothing before it is lost`, async () => {
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

Deno.test("a device that leaves is noticed, and told from one that is dropped", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  peer.close();
  await until(() => !device.connected);
  assertEquals(scene.codes("disconnected"), ["LOST"]);
});

Deno.test("a silent device is dropped by name; the others notice nothing", async () => {
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

Deno.test("a peer that never reads is dropped by name, and its messages are kept", async () => {
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

Deno.test("connections over the limit are refused, and there is room when others leave", async () => {
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
  assert(scene.codes("refused").length < 50, "a flood is not said line by line");
  assertEquals(scene.server.devices.map(({ id }) => id), ["1", "2", "3"]);
  first.close();
  await scene.logs("disconnected", "LOST");
  await scene.device("4");
});

Deno.test("a flood of connections that greet nobody keeps no device out, and costs none its link", async () => {
  await using scene = await Scene.start({ limits: { connections: 4 } });
  const [served, peer] = await scene.device("served");
  const silent: RawPeer[] = [];
  for (let n = 0; n < 30; n++) silent.push(await scene.dial(n % 2 ? "half a hel" : "\x0100"));
  const [, late] = await scene.device("late"); // where all places are taken
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

Deno.test("a welcome that is never answered holds no place against a device", async () => {
  await using scene = await Scene.start({ limits: { connections: 1 } });
  const deaf = await scene.dial(`${helloLine()}\n`);
  await until(() => deaf.lines.length > 0);
  await scene.device("1");
  await deaf.end();
});

Deno.test("devices over the limit are refused, those known before are not", async () => {
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

// Devices, as the application sees them.

Deno.test("a device is awaited until it comes, by as many as like", async () => {
  await using scene = await Scene.start();
  const awaited = [scene.server.device("1"), scene.server.device("1")];
  const all = scene.server.waitAll(["1", "2"]);
  assertEquals(scene.server.devices, []);
  const [device] = await scene.device("1");
  assertEquals(await Promise.all(awaited), [device, device]);
  const [second] = await scene.device("2");
  assertEquals(await all, [device, second]);
  assertEquals(scene.server.devices, [device, second]);
  assertEquals(await scene.server.waitAll([]), []);
});

Deno.test("a device stays the same object over all its connections, and counts them", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  assertEquals([device.id, device.connects, device.connected], ["1", 1, true]);
  peer.close();
  await until(() => !device.connected);
  const [same] = await scene.device("1");
  assertStrictEquals(same, device);
  assertEquals(device.connects, 2);
});

Deno.test("several who read get a message each, in the order in which they asked", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  const asked = [device.readline(), device.readline(), device.readline()];
  await peer.say("00a\n01b\n02c\n03d\n");
  assertEquals(await Promise.all(asked), ["a", "b", "c"]);
  assertEquals(await device.readline(), "d");
});

Deno.test("several who write at the same time all get through, in order", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  const writers = ["a", "b"].map(async (name) => {
    for (let n = 0; n < 20; n++) assertEquals(await device.write(`${name}${n}`), true);
  });
  const heard: string[] = [];
  for (let n = 0; n < 40; n++) {
    const line = await until(() => peer.lines[n]);
    heard.push(line.slice(2));
    await peer.say(`${line.slice(0, 2)}\n`);
  }
  await Promise.all(writers);
  for (const name of ["a", "b"]) {
    const own = heard.filter((text) => text.startsWith(name));
    assertEquals(own, Array.from({ length: 20 }, (_, n) => `${name}${n}`));
  }
});

Deno.test("a loop over the messages may be left, and reading goes on behind it", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  await peer.say("00a\n01b\n02c\n");
  for await (const line of device) if (line === "b") break;
  assertEquals(await device.readline(), "c");
});

Deno.test("a write without a link waits; without qos it is refused", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  peer.close();
  await until(() => !device.connected);
  const waits = device.write("waits");
  assertEquals(await device.write("now or never", { qos: false }), false);
  const [, back] = await scene.device("1");
  await back.hears("00waits");
  await back.say("00\n");
  assertEquals(await waits, true);
  assertEquals(await device.write("now", { qos: false }), true);
  await back.hears("01now");
});

Deno.test("what cannot be written is refused at its writer", async () => {
  await using scene = await Scene.start({ limits: { outbox: 2 } });
  const [device] = await scene.device("1");
  for (const text of ["", "a\nb", "\ud83d", "x".repeat(16 * 1024 + 1)]) {
    const error = await assertRejects(() => device.write(text), LocalError);
    assertEquals(error.code, "BAD_TEXT");
  }
  const kept = [device.write("1"), device.write("2")].map((write) => write.catch((e) => e.code));
  const error = await assertRejects(() => device.write("3"), LocalError);
  assertEquals(error.code, "OUTBOX_FULL");
  await scene.server.close();
  assertEquals(await Promise.all(kept), ["CLOSED", "CLOSED"]);
});

Deno.test("a write that is aborted waits no longer, and disturbs no other", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  const controller = new AbortController();
  const { signal } = controller;
  const first = device.write("first", { signal });
  const second = device.write("second");
  controller.abort(new Error("changed my mind"));
  await assertRejects(() => first, Error, "changed my mind");
  await assertRejects(() => device.write("third", { signal }), Error, "changed my mind");
  await peer.hears("00first");
  await peer.say("00\n");
  await peer.hears("01second");
  await peer.say("01\n");
  assertEquals(await second, true);
  assertEquals(peer.lines, ["00first", "01second"]);
});

Deno.test("a signal that serves many writes collects no listeners", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
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
    const written = device.write("text", { signal });
    assertEquals(listeners, 1);
    await until(() => peer.lines.length > n);
    await peer.say(`0${n}\n`);
    await written;
  }
  assertEquals(listeners, 0);
});

Deno.test("a device is not read faster than its messages are taken", async () => {
  await using scene = await Scene.start({ limits: { inbox: 5 } });
  const [device, peer] = await scene.device("1");
  const lines = Array.from({ length: 50 }, (_, n) => `${n.toString(16).padStart(2, "0")}${n}\n`);
  await peer.say(lines.join(""));
  await peer.hears("04");
  assertEquals(peer.lines.length, 5);
  for (let n = 0; n < 50; n++) assertEquals(await device.readline(), `${n}`);
  await peer.hears("31");
  assertEquals(peer.lines.length, 50);
});

// Applications.

Deno.test("the application is started once for every device, over all its connections", async () => {
  const started: string[] = [];
  await using scene = await Scene.start({
    app: async (device, server) => {
      started.push(device.id);
      assertStrictEquals(server, scene.server);
      for await (const line of device) await device.write(`${device.id} heard ${line}`);
    },
  });
  await scene.dial("2\n");
  const peer = await scene.dial("1\n00one\n");
  await peer.hears("00", "001 heard one");
  await peer.say("00\n");
  const again = await scene.dial("1\n01two\n");
  await again.hears("011 heard two");
  assertEquals(started.sort(), ["1", "2"]);
});

Deno.test("an application finds its device connected", async () => {
  const seen: unknown[] = [];
  await using scene = await Scene.start({
    app: (device) => {
      seen.push(device.connected, device.connects);
      return Promise.resolve();
    },
  });
  await scene.device("1");
  assertEquals(seen, [true, 1]);
});

for (
  const [how, app] of [
    ["rejects", () => Promise.reject(new Error("the app is broken"))],
    ["throws at once", () => {
      throw new Error("the app is broken");
    }],
    ["rejects with something that is no error", () => Promise.reject("the app is broken")],
  ] as const
) {
  Deno.test(`an application that ${how} is logged, and the link stays`, async () => {
    await using scene = await Scene.start({ app });
    const [device, peer] = await scene.device("1");
    const entry = await scene.logs("app_failed");
    assertEquals(entry.device, "1");
    assertStringIncludes(entry.message ?? "", "the app is broken");
    await peer.say("00text\n");
    assertEquals(await device.readline(), "text");
  });
}

Deno.test("an application that is a plain function will do", async () => {
  let ran = 0;
  // deno-lint-ignore no-explicit-any
  await using scene = await Scene.start({ app: (() => void ran++) as any });
  await scene.device("1");
  assertEquals(ran, 1);
  assertEquals(scene.codes("app_failed"), []);
});

Deno.test("an application that waits when the server is closed has not failed", async () => {
  const ended: unknown[] = [];
  await using scene = await Scene.start({
    app: async (device) => {
      try {
        await device.write("never acknowledged");
      } catch (error) {
        ended.push(isClosed(error));
        throw error;
      }
    },
  });
  await scene.device("1");
  await scene.server.close();
  await until(() => ended.length > 0);
  assertEquals([ended, scene.codes("app_failed")], [[true], []]);
});

// The end, and a new beginning.

Deno.test("a server that is closed rejects whoever waits, and leaves nothing", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  const mute = await scene.dial();
  const waiting = [
    device.readline(),
    device.readline(),
    device.write("never acknowledged"),
    device.write("never sent"),
    scene.server.device("never seen"),
    scene.server.waitAll(["1", "never seen", "nor this"]),
  ].map((promise) => promise.then(() => false, isClosed));
  const loop = (async () => {
    for await (const line of device) return line;
    return "ended";
  })();
  await scene.server.close();
  assertEquals(await Promise.all(waiting), waiting.map(() => true));
  assertEquals(await loop, "ended");
  await peer.end();
  await mute.end();
  assertEquals(device.connected, false);
  for (
    const call of [
      () => device.readline(),
      () => device.write("late"),
      () => scene.server.device("late"),
    ]
  ) {
    assert(isClosed(await assertRejects(call)));
  }
  assertEquals(scene.log.at(-1)?.event, "closed");
  assertEquals(scene.codes("disconnected"), ["CLOSED"]);
});

Deno.test("whoever closes a server, and again, waits until it is closed", async () => {
  await using scene = await Scene.start();
  await scene.device("1");
  const order: string[] = [];
  const closings = [scene.server.close(), scene.server.close()];
  for (const closing of closings) {
    await closing;
    order.push(scene.log.at(-1)!.event);
  }
  assertEquals(order, ["closed", "closed"]);
  assertEquals(scene.codes("closed").length, 1);
  await scene.server.close();
});

Deno.test("the second to close a server does not return before the first", async () => {
  await using scene = await Scene.start();
  await scene.device("1");
  const first = scene.server.close();
  await scene.server.close();
  assertEquals(scene.log.at(-1)?.event, "closed");
  await first;
});

for (const moment of ["connections", "hellos"]) {
  Deno.test(`a server closed amid ${moment} that arrive keeps no connection and no device`, async () => {
    for (let round = 0; round < 20; round++) {
      let running = 0;
      await using scene = await Scene.start({
        app: async (device) => {
          running++;
          for await (const _ of device);
          running--;
        },
      });
      // Closed in the same turn of the event loop in which the server is told of an arrival.
      const arrive = async (n: number) => {
        const peer = await scene.dial();
        if (moment === "connections" && n === round % 4) void scene.server.close();
        await peer.sayIfHeard(`${n}\n\n`);
        if (moment === "hellos" && n === round % 4) void scene.server.close();
      };
      await Promise.allSettled([0, 1, 2, 3].map(arrive));
      for (const peer of scene.peers) await peer.end();
      await until(() => scene.codes("closed").length > 0);
      await scene.server.close();
      assertEquals(running, 0);
      assertEquals(scene.log.at(-1)?.event, "closed", "nothing happens behind it");
      for (const device of scene.server.devices) {
        assert(isClosed(await assertRejects(() => device.readline())));
        assertEquals(device.connected, false);
      }
    }
  });
}

Deno.test("a server started again on the same store goes on without loss or doubles", async () => {
  const store = new MemoryStore();
  {
    await using scene = await Scene.start({ store });
    const [device, peer] = await scene.device("1");
    await peer.say("00processed\n01handed out\n02not read\n");
    await peer.hears("00", "01", "02");
    assertEquals([await device.readline(), await device.readline()], ["processed", "handed out"]);
    device.write("not acknowledged").catch(() => {});
    device.write("not sent").catch(() => {});
    await peer.hears("00not acknowledged");
  }
  await using scene = await Scene.start({ store });
  // There is something for its application: it need not wait for the device.
  assertEquals(scene.server.devices.map(({ id, connected }) => [id, connected]), [["1", false]]);
  const peer = await scene.dial("1\n01handed out\n02not read\n03new\n00\n");
  const device = await scene.server.device("1");
  const lines = [];
  for await (const line of device) if (lines.push(line) === 3) break;
  assertEquals(lines, ["handed out", "not read", "new"]);
  await peer.hears("01", "02", "03");
  await peer.hears("00not acknowledged");
  await peer.say("00\n");
  await peer.hears("01not sent");
  await peer.say("01\n");
  assertEquals(device.connects, 2);
  const written = device.write("new");
  await peer.hears("02new");
  await peer.say("02\n");
  assertEquals(await written, true);
});
