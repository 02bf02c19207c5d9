/** A user's programs in simulated worlds: what they survive, and what the test is told. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { type Device, Server } from "../../server/mod.ts";
import { Client } from "../host/mod.ts";
import { type Machine, PATH_FAULTS, simulate, type Started, type World } from "./mod.ts";

const SEEDS = [1, 2, 3, 4, 5];

/** A server whose application writes each message to a table of its store, once. */
async function notingServer({ platform, store }: Started): Promise<Server> {
  const app = async (device: Device) => {
    for (;;) await device.consume((line, tx) => tx.run("INSERT INTO noted VALUES (?)", line));
  };
  const server = await Server.listen({ open: true, store: store("server.db"), app }, platform);
  await server.transaction((tx) => {
    tx.run("CREATE TABLE IF NOT EXISTS noted (line TEXT NOT NULL)");
  });
  return server;
}

/** The rows, once there are enough; a duplicate would show a little later. */
async function noted(world: World, { running }: Machine<Server>, count: number): Promise<string[]> {
  let lines: string[] = [];
  while (lines.length < count) {
    await world.pass(100);
    await running.transaction(async (tx) => {
      lines = (await tx.all("SELECT line FROM noted ORDER BY rowid")).map(({ line }) => `${line}`);
    });
  }
  return lines;
}

function client({ platform, memory }: Started): Client {
  return new Client({ id: "a", host: "server", memory: memory("a.state", "a") }, platform);
}

const NUMBERS = Array.from({ length: 30 }, (_, n) => `${n}`);

for (const seed of SEEDS) {
  Deno.test(`each message is noted once through all faults and kills of the server, seed ${seed}`, async () => {
    await simulate({ seed }, async (world) => {
      const server = world.machine("server", notingServer);
      const device = world.machine("a", client);
      await server.start();
      const { write } = bound(await device.start());
      const written = Promise.all(NUMBERS.map(async (text, n) => {
        await world.pass(n * 1000);
        await write(text);
      }));
      await world.trouble(40_000, { kills: [server] });
      await written;
      assertEquals(await noted(world, server, NUMBERS.length), NUMBERS);
    });
  });
}

function bound(client: Client) {
  return { write: (text: string) => client.write(text) };
}

Deno.test("a device that is killed sends what its memory kept, and nothing twice", async () => {
  for (const seed of SEEDS) {
    await simulate({ seed }, async (world) => {
      const server = world.machine("server", notingServer);
      const device = world.machine("a", client);
      await server.start();
      for (const text of NUMBERS) {
        if (!device.isOn) await device.start();
        await device.running.write(text, { until: "kept" });
        await world.pass(world.random.below(50));
        if (world.random.chance(0.3)) device.kill();
      }
      if (!device.isOn) await device.start();
      await world.until(() => device.running.outbox === 0);
      assertEquals(await noted(world, server, NUMBERS.length), NUMBERS);
    });
  }
});

Deno.test("an application that writes a message in a separate transaction is caught writing one twice", async () => {
  const careless = async ({ platform, store }: Started) => {
    const app = async (device: Device, server: Server) => {
      for await (const line of device) {
        await server.transaction((tx) => tx.run("INSERT INTO noted VALUES (?)", line));
      }
    };
    const server = await Server.listen({ open: true, store: store("server.db"), app }, platform);
    await server.transaction((tx) => tx.run("CREATE TABLE IF NOT EXISTS noted (line TEXT)"));
    return server;
  };
  let doubled = 0;
  for (let seed = 1; doubled === 0 && seed <= 100; seed++) {
    await simulate({ seed }, async (world) => {
      const server = world.machine("server", careless);
      const device = world.machine("a", client);
      await server.start();
      const { write } = bound(await device.start());
      for (const text of NUMBERS) {
        await write(text);
        await world.pass(world.random.below(10));
        if (!world.random.chance(0.3)) continue;
        server.kill();
        await server.start();
      }
      doubled += (await noted(world, server, NUMBERS.length)).length - NUMBERS.length;
    });
  }
  assert(doubled > 0);
});

Deno.test("what a program has only in its variables is gone when it is killed", async () => {
  await simulate({}, async (world) => {
    const counter = world.machine("counter", () => ({ count: 0 }));
    (await counter.start()).count = 5;
    counter.kill();
    assertThrows(() => counter.running, Error, "counter is not running");
    assertEquals((await counter.start()).count, 0);
  });
});

/** The log of a world, line by line. */
async function trace(seed: number): Promise<string[]> {
  const lines: string[] = [];
  await simulate({ seed, log: (line) => lines.push(line) }, async (world) => {
    const server = world.machine("server", notingServer);
    const device = world.machine("a", client);
    await server.start();
    await device.start();
    await world.trouble(30_000, { kills: [server, device] });
    await device.running.ready();
  });
  return lines;
}

Deno.test("a seed gives the same run each time, and another seed gives another one", async () => {
  const first = await trace(7);
  assert(first.length > 10);
  assertEquals(await trace(7), first);
  const [a, b, again] = await Promise.all([trace(7), trace(8), trace(7)]);
  assertEquals(a, first);
  assertEquals(again, first);
  assert(b!.join() !== first.join());
});

for (const fault of PATH_FAULTS) {
  Deno.test(`a message arrives after: ${fault}`, async () => {
    await simulate({}, async (world) => {
      const server = world.machine("server", notingServer);
      const device = world.machine("a", client);
      await server.start();
      const { write } = bound(await device.start());
      await device.running.ready();
      device.disturb(fault, 20_000);
      await world.pass(1);
      await write("1");
      assertEquals(await noted(world, server, 1), ["1"]);
    });
  });
}

Deno.test("a black hole lets nothing through until its end, and both ends notice it", async () => {
  await simulate({}, async (world) => {
    const server = world.machine("server", notingServer);
    const device = world.machine("a", client);
    await server.start();
    await device.start();
    await world.until(() => server.running.devices[0]?.connected === true);
    device.disturb("black hole both ways", 20_000);
    const begun = world.now;
    const written = device.running.write("1");
    await world.until(() => !device.running.connected, 3000);
    await world.until(() => server.running.devices[0]?.connected === false, 3000);
    await written;
    assert(world.now - begun >= 20_000, `after ${world.now - begun} ms`);
  });
});

Deno.test("a program that was frozen goes on where it stopped", async () => {
  await simulate({}, async (world) => {
    const times: number[] = [];
    const ticking = world.machine("ticking", () => {
      setInterval(() => times.push(world.now), 100);
    });
    await ticking.start();
    await world.pass(1000);
    const before = times.length;
    ticking.freeze(5000);
    await world.pass(4990);
    assertEquals(times.length, before);
    await world.pass(1000);
    assert(times.length > before + 5);
  });
});

Deno.test("timers, clocks and random numbers are the world's, and a killed program's timers are dropped", async () => {
  const real = [setTimeout, Date.now, performance.now, Math.random, crypto.getRandomValues];
  const play = async (world: World) => {
    const drawn: unknown[] = [];
    const draw = () =>
      drawn.push([Date.now(), performance.now(), Math.random(), crypto.randomUUID()]);
    const program = world.machine("program", async () => {
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      draw();
      setInterval(draw, 1000);
      const timer = setTimeout(() => drawn.push("cleared, and called"), 10);
      clearTimeout(timer);
      setImmediate(draw);
    });
    await program.start();
    await world.pass(2500);
    program.kill();
    const count = drawn.length;
    assertEquals(count, 4);
    await world.pass(60_000);
    assertEquals(drawn.length, count);
    return drawn;
  };
  const runs: unknown[][] = [];
  for (const seed of [1, 1, 2]) {
    await simulate({ seed }, async (world) => void runs.push(await play(world)));
  }
  assertEquals(runs[0], runs[1]);
  assert(JSON.stringify(runs[0]) !== JSON.stringify(runs[2]));
  assertMatch(
    (runs[0]![0] as string[])[3]!,
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  assertEquals([setTimeout, Date.now, performance.now, Math.random, crypto.getRandomValues], real);
});

Deno.test("a machine's date is in whole milliseconds, as a real one's is, even between two of them", async () => {
  await simulate({}, async (world) => {
    const machine = world.machine("machine", ({ platform }) => platform);
    const platform = await machine.start();
    const begun = platform.date();
    await world.pass(1.6);
    assertEquals(platform.date(), begun + 1);
    assertEquals(new Date(platform.date()).getTime(), platform.date());
  });
});

Deno.test("an error of a test is reported with the seed and the time", async () => {
  const error = await assertRejects(() =>
    simulate({ seed: 3 }, async (world) => {
      await world.pass(1500);
      throw new Error("no light");
    })
  );
  assertEquals((error as Error).message, "seed 3, after 1500 ms: no light");
  assertEquals(((error as Error).cause as Error).message, "no light");
});

Deno.test("a test that waits for what never comes ends at its limit", async () => {
  await assertRejects(
    () => simulate({ limit: 10_000 }, () => new Promise(() => {})),
    Error,
    "the test still waits for something after 10000 ms",
  );
  await assertRejects(
    () => simulate({}, (world) => world.until(() => false, 500)),
    Error,
    "after 500 ms: what the test waits for has not become true in 500 ms",
  );
  await assertRejects(
    () =>
      simulate({}, (world) =>
        world.until(() => {
          throw new Error("a wrong condition");
        })),
    Error,
    "a wrong condition",
  );
});

Deno.test("a machine's name is unique, and it runs one program at a time", async () => {
  await simulate({}, async (world) => {
    const machine = world.machine(
      "a",
      () => new Promise<void>((resolve) => setTimeout(resolve, 10)),
    );
    assertThrows(() => world.machine("a", () => {}), Error, "there is a machine a already");
    assertThrows(() => machine.running, Error, "start() first");
    const started = machine.start();
    await assertRejects(() => machine.start(), Error, "runs already");
    machine.kill();
    await assertRejects(() => started, Error, "a was killed while it started");
    machine.kill(); // it is off: nothing happens
    await machine.start();
    const wrong = world.machine("wrong", () => {
      throw new Error("no such option");
    });
    await assertRejects(() => wrong.start(), Error, "no such option");
  });
});

Deno.test("a connection to a machine where nothing listens fails with the reason", async () => {
  await simulate({}, async (world) => {
    const reasons = new Set<string>();
    const server = world.machine("server", notingServer);
    await server.start();
    for (const [name, host] of [["a", "nowhere"], ["b", "server:9000"]] as const) {
      const device = world.machine(name, ({ platform }) =>
        new Client({
          id: name,
          host,
          onState: (_, reason) => reason && reasons.add(`${name} ${reason.code}`),
        }, platform));
      await device.start();
    }
    await world.pass(20_000);
    assertEquals([...reasons].sort(), ["a NO_ADDRESS", "b LOST"]);
  });
});
