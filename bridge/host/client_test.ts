/** A client and its server: options, messages both ways, readers and writers. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  booted,
  dial,
  DIALECTS,
  inBothDialects,
  messages,
  numbers,
  quietServer,
  readAll,
  Scene,
  writeAll,
} from "../../tests/support/clients.ts";
import { until } from "../../tests/support/wait.ts";
import { Client, type ClientOptions, LocalError } from "./mod.ts";

// Options of a client.

Deno.test("arguments out of range are refused by name", () => {
  const wrong: [Partial<ClientOptions>, string][] = [
    [{ id: "" }, "id"],
    [{ id: "a\nb" }, "id"],
    [{ id: "a\0" }, "id"],
    [{ id: "\x01" }, "id"],
    [{ id: "\x7f" }, "id"],
    [{ id: "half a \ud83d" }, "id"],
    [{ id: "x".repeat(65) }, "a name may have at most 64 bytes, not 65"],
    [{ id: "a\x9b2J" }, "a name must not have control characters"],
    [{ id: "é".repeat(65) }, "id"],
    [{ port: 0 }, "port"],
    [{ port: 65536 }, "port"],
    [{ port: 1.5 }, "port"],
    [{ timeout: 99 }, "timeout"],
    [{ timeout: 3_600_001 }, "timeout"],
    [{ timeout: NaN }, "timeout"],
    // deno-lint-ignore no-explicit-any
    [{ dialect: 3 as any }, "dialect"],
    [{ key: "0123" }, "key"],
    [{ key: "x".repeat(64) }, "key"],
    [{ key: new Uint8Array(31) }, "key"],
    [{ key: new Uint8Array(32), dialect: 1 }, "dialect 1 has no keys"],
    [{ key: new Uint8Array(32), suite: 1 as never }, "suite must be 2, 3 or 4"],
    [{ suite: 3 }, "suite needs a key"],
    [{ metadata: "a=1", dialect: 1 }, "dialect 1 has no metadata"],
    [{ metadata: `a=${"x".repeat(127)}` }, "metadata may have at most 128 bytes, not 129"],
    [{ metadata: "a=\t" }, "metadata must not contain control characters"],
    [{ metadata: "a=\n" }, "metadata must not contain control characters"],
    [{ metadata: "a=\ud83d" }, "metadata must be well-formed"],
    [{ metadata: "version 1" }, "metadata must be key=value pairs"],
    [{ size: { line: 120 } }, "size.line"],
    [{ size: { line: 0 }, dialect: 1 }, "size.line"],
    [{ size: { line: 32_001 } }, "size.line"],
    [{ size: { line: 1.5 } }, "size.line"],
    [{ size: { line: 200, outbox: 206 } }, "size.outbox"],
    [{ size: { line: 200, inbox: 405 } }, "size.inbox"],
    [{ size: { line: 121, inbox: 247 } }, "size.inbox"],
    [{ id: "x".repeat(64), size: { line: 121, inbox: 279 } }, "size.inbox"],
    [{ size: { line: 100, inbox: 205 }, dialect: 1 }, "size.inbox"],
    [{ size: { recent: 0 } }, "size.recent"],
    [{ size: { recent: 224 } }, "size.recent"],
    [{ size: { window: 0 } }, "size.window"],
    [{ size: { window: 65 } }, "size.window"],
  ];
  for (const [options, name] of wrong) {
    const error = assertThrows(() => new Client({ id: "1", ...options }), LocalError, name);
    assertEquals(error.code, "BAD_ARGUMENT");
  }
});

Deno.test("the longest ids arrive as they are", async () => {
  for (const id of ["x".repeat(64), "Küche 🐙", " "]) {
    for (const dialect of DIALECTS) {
      await using scene = await Scene.start({ id, dialect });
      assertEquals((await scene.server.device(id)).id, id);
    }
  }
});

Deno.test("the smallest sizes permitted carry messages both ways", async () => {
  const sizes = {
    1: { line: 1, outbox: 8, inbox: 8, recent: 1, window: 1 },
    2: { line: 121, outbox: 128, inbox: 350, window: 1 },
  };
  for (const dialect of DIALECTS) {
    await using scene = await Scene.start({ dialect, size: sizes[dialect] });
    const device = await scene.device();
    for (const text of ["a", "b", "c"].map((text) => text.repeat(sizes[dialect].line))) {
      assertEquals(await Promise.all([scene.client.write(text), device.readline()]), [true, text]);
      assertEquals(await Promise.all([device.write(text), scene.client.readline()]), [true, text]);
    }
  }
});

// A good link.

inBothDialects("messages go both ways, each side's in order", async (dialect) => {
  await using scene = await Scene.start({ dialect });
  const device = await scene.device();
  const texts = numbers(100, "message ");
  const written = [writeAll(scene.client, texts), writeAll(device, texts)];
  const read = [readAll(device, 100), readAll(scene.client, 100)];
  assertEquals(await Promise.all(read), [texts, texts]);
  assertEquals(new Set((await Promise.all(written)).flat()), new Set([true]));
  assertEquals([scene.client.connects, device.connects], [1, 1]);
});

inBothDialects("any line of text arrives as it was written", async (dialect) => {
  await using scene = await Scene.start({ dialect });
  const device = await scene.device();
  const texts = [
    " ",
    "\r",
    " \0",
    " \x01",
    "00",
    "ff",
    "grüße, 世界 🐙",
    "\ufeffmark",
    "\u2028",
    "\ufffd",
    "\x7f",
  ];
  for (const text of texts) {
    const [, heard] = await Promise.all([scene.client.write(text), device.readline()]);
    assertEquals(heard, text);
    const [, echoed] = await Promise.all([device.write(text), scene.client.readline()]);
    assertEquals(echoed, text);
  }
  await scene.client.write("with a newline at its end\n");
  assertEquals(await device.readline(), "with a newline at its end");
});

Deno.test("the longest text passes, both ways, and no longer one", async () => {
  await using scene = await Scene.start();
  const device = await scene.device();
  for (const text of ["x".repeat(16 * 1024), "é".repeat(8 * 1024), "€".repeat(5461) + "x"]) {
    const reads = [device.readline(), scene.client.readline()];
    await Promise.all([scene.client.write(text), device.write(text)]);
    assertEquals(await Promise.all(reads), [text, text]);
    await assertRejects(() => scene.client.write(text + "x"), LocalError, "16385");
  }
  assertEquals(scene.states.seen, ["up"]);
});

Deno.test("texts that no line can carry are refused, and nothing of them is sent", async () => {
  await using scene = await Scene.start();
  const device = await scene.device();
  for (const text of ["", "\n", "a\nb", "a\n\n", "\ud83d", "\udc19\ud83d", "\0", "\0a"]) {
    for (const qos of [true, false]) {
      const error = await assertRejects(() => scene.client.write(text, { qos }), LocalError);
      assertEquals(error.code, "BAD_TEXT");
    }
  }
  await scene.client.write("well-formed");
  assertEquals(await device.readline(), "well-formed");
});

inBothDialects(
  "a network that cuts everything into small pieces changes nothing",
  async (dialect) => {
    await using scene = await Scene.start({ dialect });
    scene.proxy.split(3);
    const device = await scene.device();
    const texts = numbers(20, "grüße, 世界 🐙 ");
    const written = [writeAll(scene.client, texts, false), writeAll(device, texts, false)];
    const read = [readAll(device, 20), readAll(scene.client, 20)];
    assertEquals(await Promise.all(read), [texts, texts]);
    await Promise.all(written);
  },
);

Deno.test("ready resolves when the link is up, at once if it is, and again after an outage", async () => {
  await using scene = await Scene.start();
  const { client } = scene;
  assertEquals(client.connected, false);
  await Promise.all([client.ready(), client.ready()]);
  assertEquals([client.connected, client.connects], [true, 1]);
  await client.ready();
  scene.proxy.reset();
  await scene.states.tells("LOST");
  assertEquals(client.connected, false);
  await client.ready();
  assertEquals([client.connected, client.connects], [true, 2]);
  assertEquals(scene.states.seen, ["up", "LOST", "up"]);
});

// How messages go out.

Deno.test("a message waits for the ack of the one before it, unless told not to", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const peer = await booted(server, client);
  const writes = [
    client.write("a"),
    client.write("b", { wait: false }),
    client.write("c"),
    client.write("d", { wait: false }),
  ];
  for (const write of writes) write.catch(() => {});
  await peer.hears("02b");
  assertEquals(messages(peer), ["01a", "02b"]);
  await peer.say("02\n");
  await peer.say("01\n");
  assertEquals(await Promise.all(writes.slice(0, 2)), [true, true]);
  await peer.hears("03c", "04d");
  await peer.say("03\n04\n");
  assertEquals(await Promise.all(writes), [true, true, true, true]);
  assertEquals(messages(peer), ["01a", "02b", "03c", "04d"]);
});

Deno.test("nothing overtakes the first message after a boot: its repeat would look like a boot", async () => {
  await using server = quietServer();
  const [client, states] = dial(server);
  await using _ = client;
  const writes = ["boot", "waits all the same"].map((text) => client.write(text, { wait: false }));
  for (const write of writes) write.catch(() => {});
  const peer = await server.peer(0);
  await peer.hears("00boot");
  peer.close();
  await states.tells("LOST");
  assertEquals(peer.lines, ["1", "00boot"]);
  const back = await server.peer(1);
  await back.hears("00boot");
  await back.say("00\n");
  await back.hears("01waits all the same");
  await back.say("01\n");
  assertEquals(await Promise.all(writes), [true, true]);
});

Deno.test("acks may come in any order: a write is done once it and all before it are acknowledged", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const peer = await booted(server, client);
  const done: string[] = [];
  const writes = ["a", "b", "c"].map(async (text) => {
    await client.write(text, { wait: false });
    done.push(text);
  });
  await peer.hears("03c");
  await peer.say("03\n02\n01\n");
  await Promise.all(writes);
  assertEquals(done, ["a", "b", "c"]);
});

Deno.test("without qos a message goes out at once, once, or is refused", async () => {
  await using server = quietServer();
  const [client, states] = dial(server);
  await using _ = client;
  assertEquals(await client.write("no link yet", { qos: false }), false);
  const peer = await booted(server, client);
  const writes = [client.write("waits for its ack"), client.write("waits for its turn")];
  for (const write of writes) write.catch(() => {});
  await peer.hears("01waits for its ack");
  assertEquals(await client.write("at once", { qos: false }), true);
  await peer.hears("02at once");
  peer.close();
  await states.tells("LOST");
  assertEquals(await client.write("no link", { qos: false }), false);
  const back = await server.peer(1);
  await back.hears("01waits for its ack");
  await back.say("01\n");
  await back.hears("03waits for its turn");
  await back.say("03\n");
  assertEquals(await Promise.all(writes), [true, true]);
  assertEquals(messages(back), ["01waits for its ack", "03waits for its turn"]);
});

Deno.test("more writes can wait than the core's outbox holds, and the rest are refused", async () => {
  await using server = quietServer();
  const [client] = dial(server, { size: { window: 4 } });
  const peer = await booted(server, client);
  const results: Promise<unknown>[] = [];
  for (let n = 0; n < 1100; n++) {
    results.push(client.write(`${n}`, { wait: false }).catch((error) => error.code));
  }
  await peer.hears("01" + "0", "04" + "3");
  await peer.say("01\n02\n03\n04\n");
  await peer.hears("08" + "7");
  await client.close();
  const outcomes = await Promise.all(results);
  const count = (outcome: unknown) => outcomes.filter((each) => each === outcome).length;
  assertEquals(outcomes.slice(0, 4), [true, true, true, true]);
  assert(count("OUTBOX_FULL") > 0);
  assertEquals(count(true) + count("OUTBOX_FULL") + count("CLOSED"), 1100);
  // The ones refused are those that came when 1024 others were waiting already.
  assertEquals(outcomes.indexOf("OUTBOX_FULL") >= 1024, true);
});

Deno.test("a write that is aborted waits no longer, and lets the others pass", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const controller = new AbortController();
  const { signal } = controller;
  const peer = await booted(server, client);
  const onItsWay = client.write("on its way", { signal });
  const queued = client.write("queued", { signal });
  const other = client.write("other", { wait: false });
  for (const write of [onItsWay, queued, other]) write.catch(() => {});
  await peer.hears("01on its way");
  controller.abort(new Error("changed my mind"));
  for (const write of [onItsWay, queued, client.write("late", { signal })]) {
    await assertRejects(() => write, Error, "changed my mind");
  }
  await peer.hears("02other");
  await peer.say("01\n02\n");
  assertEquals(await other, true);
  assertEquals(messages(peer), ["01on its way", "02other"]);
});

Deno.test("a signal that serves many writes collects no listeners", async () => {
  await using scene = await Scene.start();
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
    const written = scene.client.write("text", { signal });
    assertEquals(listeners, 1);
    await written;
  }
  assertEquals(listeners, 0);
});

// Readers.

Deno.test("a message is acknowledged only after it was handed out", async () => {
  await using server = quietServer();
  const [client] = dial(server);
  await using _ = client;
  const peer = await server.peer(0);
  await peer.say(
    numbers(30).map((n) => `${Number(n).toString(16).padStart(2, "0")}${n}\n`).join(""),
  );
  await client.ready();
  const acks = () => peer.lines.slice(1);
  for (let n = 0; n < 30; n++) {
    assertEquals(acks().length, n);
    assertEquals(await client.readline(), `${n}`);
    await until(() => acks().length > n);
  }
  assertEquals(acks().at(-1), "1d");
});

Deno.test("a server that sends faster than anybody reads is slowed down, and nothing is lost", async () => {
  await using scene = await Scene.start({ size: { line: 1024, inbox: 3000 } });
  const device = await scene.device();
  const texts = numbers(300, "x".repeat(500));
  const written = writeAll(device, texts, false);
  assertEquals(await readAll(scene.client, 300), texts);
  assertEquals(new Set(await written), new Set([true]));
  assertEquals(scene.states.seen, ["up"]);
});

inBothDialects(
  "messages sent to a client that does not read and is then cut off arrive once",
  async (dialect) => {
    await using scene = await Scene.start({ dialect });
    const device = await scene.device();
    const written = writeAll(device, numbers(10), false);
    assertEquals(await readAll(scene.client, 3), ["0", "1", "2"]);
    scene.proxy.reset();
    await scene.states.tells("up", 2);
    assertEquals(await readAll(scene.client, 7), ["3", "4", "5", "6", "7", "8", "9"]);
    await written;
  },
);

Deno.test("several readers get one message each, in the order in which they asked", async () => {
  await using scene = await Scene.start();
  const asked = [scene.client.readline(), scene.client.readline(), scene.client.readline()];
  const device = await scene.device();
  for (const text of ["a", "b", "c"]) await device.write(text);
  assertEquals(await Promise.all(asked), ["a", "b", "c"]);
});

Deno.test("a loop over the messages may be left, and reading goes on after it", async () => {
  await using scene = await Scene.start();
  const device = await scene.device();
  const written = writeAll(device, ["a", "b", "c"]);
  for await (const line of scene.client) if (line === "b") break;
  assertEquals(await scene.client.readline(), "c");
  await written;
});

Deno.test("if both ends read only after their writes are acknowledged, both still get all messages", async () => {
  const size = { line: 100, inbox: 206 };
  await using scene = await Scene.start({ timeout: 1000, dialect: 1, size });
  const device = await scene.device();
  const texts = numbers(20, "a text of some length, so that the inbox is full ");
  const written = writeAll(device, texts, false);
  await writeAll(scene.client, texts);
  await writeAll(scene.client, texts);
  // What found no room came again later, and need not wait for what was sent before it.
  assertEquals((await readAll(scene.client, 20)).sort(), texts.sort());
  await written;
});
