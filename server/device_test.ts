/** Devices, as the application sees them. */
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { LocalError } from "./mod.ts";

Deno.test("any number of callers can wait for a device to connect", async () => {
  await using scene = await Scene.start();
  const awaited = [scene.server.device("1"), scene.server.device("1")];
  const all = scene.server.waitAll(["1", "2"]);
  assertEquals([scene.server.devices, scene.server.known("1")], [[], undefined]);
  const [device] = await scene.device("1");
  assertEquals(await Promise.all(awaited), [device, device]);
  const [second] = await scene.device("2");
  assertEquals(await all, [device, second]);
  assertEquals(scene.server.devices, [device, second]);
  assertEquals(scene.server.known("1"), device);
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

Deno.test("several readers get a message each, in the order in which they asked", async () => {
  await using scene = await Scene.start();
  const [device, peer] = await scene.device("1");
  const asked = [device.readline(), device.readline(), device.readline()];
  await peer.say("00a\n01b\n02c\n03d\n");
  assertEquals(await Promise.all(asked), ["a", "b", "c"]);
  assertEquals(await device.readline(), "d");
});

Deno.test("messages of several writers at the same time all get through, each writer's in order", async () => {
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

Deno.test("a loop over the messages can be left, and reading continues with the next message", async () => {
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

Deno.test("an invalid message, or one beyond the outbox's limit, is refused to its writer", async () => {
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

Deno.test("an aborted write stops waiting, and disturbs no other", async () => {
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
