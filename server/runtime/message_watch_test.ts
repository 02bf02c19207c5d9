/** What a listener of a device's messages gets: each message once, when it is safe, and none from before. */
import { assertEquals } from "@std/assert";
import { helloLine } from "../../tests/support/greeting.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";

Deno.test("messages are shown in both directions, each once, from the call of watch on", async () => {
  await using scene = await ManualServer.start();
  const { server, platform } = scene;
  const socket = await scene.knock("a\n\n");
  const device = await server.device("a");
  await scene.says(socket, "00before\n");
  const seen: string[] = [];
  const end = device.watch((way, text) => seen.push(`${way} ${text}`));
  await scene.says(socket, "01one\n02two\n");
  assertEquals(seen, ["in one", "in two"]);
  const read = device.readline();
  await platform.turn();
  assertEquals(await read, "before");
  const written = device.write("hello").catch((error) => error.code);
  await platform.turn();
  assertEquals(seen, ["in one", "in two", "out hello"], "no done for an earlier message");
  const cleared = device.clear();
  await platform.turn();
  await cleared;
  assertEquals(await written, "CLEARED");
  const again = await scene.knock("a\n\n");
  await scene.says(again, "03three\n");
  const done = ["done ", "done "]; // they were cleared
  assertEquals(seen, ["in one", "in two", "out hello", ...done, "in three"]);
  const next = device.readline();
  await platform.turn();
  assertEquals(await next, "three");
  device.readline().catch(() => {}); // three is processed
  await platform.turn();
  assertEquals(seen.at(-1), "done ");
  end();
  await scene.says(again, "04four\n");
  assertEquals(seen.length, 7);
});

Deno.test("messages to the device are shown unless they were withdrawn, however many came before", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock(`${helloLine({ id: "a" })}\n`);
  await scene.says(socket, "\n");
  const device = await scene.server.device("a");
  for (let n = 0; n < 3; n++) void device.write(`before ${n}`);
  await scene.platform.turn();
  await scene.says(socket, "02\n");
  assertEquals(device.outbox, 0, "all three have arrived");
  const seen: string[] = [];
  device.watch((way, text) => seen.push(`${way} ${text}`));
  void device.write("without qos", { qos: false });
  socket.fails(new Error("reset")); // before that is safe: it is withdrawn
  device.write("with qos").catch(() => {}); // the server is closed
  await scene.platform.turn();
  assertEquals(seen, ["out with qos"]);
});

Deno.test("nothing is shown before it is safe", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const { server, platform } = scene;
  const socket = await scene.knock("a\n\n");
  const device = await server.device("a");
  const seen: string[] = [];
  device.watch((way, text) => seen.push(`${way} ${text}`));
  const release = store.hold();
  const written = device.write("hello");
  await scene.says(socket, "00one\n");
  assertEquals(seen, []);
  release();
  await platform.turn();
  await platform.turn();
  assertEquals(seen.sort(), ["in one", "out hello"]);
  written.catch(() => {}); // the server is closed
});

Deno.test("a message that is not safe yet at the call of watch is shown when it is", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const { server, platform } = scene;
  const socket = await scene.knock("a\n\n");
  const device = await server.device("a");
  const release = store.hold();
  await scene.says(socket, "00one\n");
  const seen: string[] = [];
  device.watch((way, text) => seen.push(`${way} ${text}`));
  release();
  await platform.turn();
  await platform.turn();
  assertEquals(seen, ["in one"]);
});

Deno.test("a listener that throws is not called again, and the server continues", async () => {
  await using scene = await ManualServer.start();
  const { server } = scene;
  const socket = await scene.knock("a\n\n");
  const device = await server.device("a");
  let calls = 0;
  device.watch(() => {
    calls++;
    throw new Error("a fault of the listener's");
  });
  await scene.says(socket, "00one\n");
  await scene.says(socket, "01two\n");
  assertEquals([calls, device.inbox], [1, 2]);
  assertEquals(scene.log.filter((line) => line.startsWith("warning")), [
    "warning a LISTENER_FAILED",
  ]);
});
