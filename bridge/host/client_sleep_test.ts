/** A client that sleeps as a board does, and how its server treats it. */
import { assertEquals, assertRejects } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { Scene } from "../../tests/support/scene.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError } from "../../server/mod.ts";
import { Client } from "./mod.ts";

Deno.test("a sleeping client does not count as an outage, and gets what was written meanwhile when it is back", async () => {
  await using scene = await Scene.start();
  const { server, server: { port } } = scene;
  const at = { id: "1", port, timeout: server.timeout };
  const client = new Client(at);
  const device = await server.device("1");
  const written = client.write("one");
  assertEquals(await client.sleep(600_000), true);
  assertEquals(await written, true);
  await until(() => device.asleepUntil);
  assertEquals([scene.codes("disconnected"), scene.codes("asleep").length], [[], 1]);
  const asleepFor = device.asleepUntil!.getTime() - Date.now();
  assertEquals(Math.round(asleepFor / 60_000), 10);
  const told = device.write("two");
  await using awake = new Client(at);
  assertEquals(await awake.readline(), "two");
  await awake.ready();
  assertEquals([await told, device.asleepUntil], [true, undefined]);
  assertEquals(await device.readline(), "one");
});

Deno.test("messages that a client with a memory has left when it sleeps are sent by the next client", async () => {
  using files = folder();
  const memory = `${files.path}/client.state`;
  await using scene = await Scene.start();
  const { port } = scene.server;
  const dead = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const at = { id: "1", memory, timeout: 60_000 };
  const nobody = new Client({ ...at, port: (dead.addr as Deno.NetAddr).port });
  dead.close();
  await nobody.write("one", { until: "kept" });
  const asleep = nobody.sleep(1000);
  await nobody.close(); // nobody waits for 10 s
  assertEquals(await asleep, false);
  const client = new Client({ ...at, port });
  assertEquals(await client.sleep(1000), true);
  const device = await scene.server.device("1");
  await until(() => device.asleepUntil);
  assertEquals(await device.readline(), "one");
});

Deno.test("an invalid sleep time is refused; in dialect 1 the server is not told of a sleep", async () => {
  await using scene = await Scene.start();
  const { port, timeout } = scene.server;
  const client = new Client({ id: "1", port, timeout });
  for (const ms of [0, -1, 1.5, NaN, 2_147_483_001]) {
    const { code } = await assertRejects(() => client.sleep(ms), LocalError);
    assertEquals(code, "BAD_ARGUMENT");
  }
  await client.close();
  assertEquals((await assertRejects(() => client.sleep(1), LocalError)).code, "CLOSED");
  const first = new Client({ id: "2", port, timeout, dialect: 1 });
  await first.ready();
  assertEquals(await first.sleep(1000), false);
  await scene.logs("disconnected");
});
