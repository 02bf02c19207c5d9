/** A server's options, its applications and its end. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { LocalError, MemoryStore, Server, type ServerOptions } from "./mod.ts";

function isClosed(error: unknown): boolean {
  return error instanceof LocalError && error.code === "CLOSED";
}

// Options of a server.

Deno.test("a server that is not told who may connect does not start, and says why", async () => {
  const error = await assertRejects(() => Server.listen({ port: 0 }), LocalError, "--open");
  assertEquals(error.code, "NOT_OPEN");
});

Deno.test("an argument out of range is refused, and the error names it", async () => {
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

// Applications.

Deno.test("the application is started once for each device, and runs through all its connections", async () => {
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

Deno.test("an application may be a function that is not async", async () => {
  let ran = 0;
  // deno-lint-ignore no-explicit-any
  await using scene = await Scene.start({ app: (() => void ran++) as any });
  await scene.device("1");
  assertEquals(ran, 1);
  assertEquals(scene.codes("app_failed"), []);
});

Deno.test("an application that waits when the server is closed does not count as failed", async () => {
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

// Closing and restarting.

Deno.test("a closed server rejects all pending calls, and leaves nothing behind", async () => {
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

Deno.test("every call of close waits until the server is closed", async () => {
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

Deno.test("a second call of close does not return before the first", async () => {
  await using scene = await Scene.start();
  await scene.device("1");
  const first = scene.server.close();
  await scene.server.close();
  assertEquals(scene.log.at(-1)?.event, "closed");
  await first;
});

for (const moment of ["connections", "hellos"]) {
  Deno.test(`a server that is closed while ${moment} arrive keeps no connection and no device`, async () => {
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
      assertEquals(scene.log.at(-1)?.event, "closed", "nothing happens after it");
      for (const device of scene.server.devices) {
        assert(isClosed(await assertRejects(() => device.readline())));
        assertEquals(device.connected, false);
      }
    }
  });
}

Deno.test("a server that restarts on the same store continues without loss or duplicates", async () => {
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
  // Messages wait for its application, so the device is available before it connects.
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
