import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { helloLine } from "../../tests/support/greeting.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Collector, Transaction } from "../store/transaction.ts";

Deno.test("a message that is not safe yet cannot be read in a transaction either", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const socket = await scene.knock("1\n\n");
  await scene.says(socket, "00a\n");
  const device = await scene.server.device("1");
  const [early, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const seen: unknown[] = [];
  const consumed = device.consume(async (_, tx) => {
    for (const { promise } of [early, late]) {
      await promise;
      seen.push((tx as Collector).next);
    }
  });
  await scene.platform.turn();
  const release = store.hold();
  await scene.says(socket, "01b\n");
  early.resolve();
  await scene.platform.turn();
  release();
  await scene.platform.turn();
  late.resolve();
  await scene.platform.turn();
  await consumed;
  const other = scene.server.transaction((tx) => void seen.push((tx as Collector).next));
  await scene.platform.turn();
  await other;
  assertEquals(seen, [undefined, "b", undefined]);
});

Deno.test("a transaction whose function has failed refuses further writes", async () => {
  await using scene = await ManualServer.start();
  await scene.knock("1\n\n");
  let kept: Transaction | undefined;
  const transaction = scene.server.transaction((tx) => {
    kept = tx;
    throw new Error("no");
  });
  const failed = assertRejects(() => transaction, Error, "no");
  await scene.platform.turn();
  await failed;
  assertThrows(() => kept!.write("1", "x"), LocalError, "has ended");
});

Deno.test("a transaction that fails takes nothing out of the inbox, and makes no room in it", async () => {
  await using scene = await ManualServer.start({ limits: { inbox: 1, outbox: 1 } });
  const socket = await scene.knock("1\n\n");
  await scene.says(socket, "00a\n01b\n");
  const device = await scene.server.device("1");
  const full = () =>
    device.consume((_, tx) => {
      tx.write("1", "fits");
      tx.write("1", "does not");
    });
  const error = await assertRejects(async () => {
    const consumed = full();
    consumed.catch(() => {});
    await scene.platform.turn();
    await consumed;
  }, LocalError);
  await scene.platform.turn();
  assertEquals([error.code, error.device], ["OUTBOX_FULL", "1"]);
  assertEquals([device.inbox, device.outbox], [1, 0]);
  assertEquals(socket.lines, ["00"], "b is not acknowledged");
  const counts = { received: 1, processed: 0, dead: 0, written: 0, delivered: 0, expired: 0 };
  assertEquals({ ...device.counts }, counts);
});

Deno.test("messages of a transaction are sent when it is safe, or, to devices that are away, when they connect", async () => {
  await using scene = await ManualServer.start();
  const socket = await scene.knock("1\n\n");
  const away = await scene.knock("2\n\n");
  away.fails(new Error("reset"));
  await scene.platform.turn();
  const done = scene.server.transaction((tx) => {
    for (const id of ["1", "2"]) tx.write(id, `to ${id}`);
  });
  await scene.platform.turn();
  await done;
  assertEquals(socket.lines, ["00to 1"]);
  const back = await scene.knock("2\n\n");
  assertEquals(back.lines, ["00to 2"]);
});

Deno.test("a transaction with an unknown device, or with a malformed text, is refused at once", async () => {
  await using scene = await ManualServer.start();
  const refusal = async (id: string, text: string) => {
    const refused = scene.server.transaction((tx) => tx.write(id, text));
    refused.catch(() => {});
    await scene.platform.advance(10);
    return (await assertRejects(() => refused, LocalError)).code;
  };
  await scene.knock("1\n\n");
  assertEquals(await refusal("2", "text"), "UNKNOWN_DEVICE");
  assertEquals(await refusal("1", "two\nlines"), "BAD_TEXT");
});

Deno.test("a transaction is refused if its device meanwhile reconnects with a line limit that its text exceeds", async () => {
  await using scene = await ManualServer.start();
  const hello = (line: number) => `${helloLine({ id: "1", line })}\n`;
  await scene.says(await scene.knock(hello(512)), "\n");
  const device = await scene.server.device("1");
  const collected = Promise.withResolvers<void>();
  const done = scene.server.transaction(async (tx) => {
    tx.write("1", "x".repeat(400));
    await collected.promise;
  });
  done.catch(() => {});
  await scene.says(await scene.knock(hello(200)), "\n");
  assertEquals(device.connects, 2);
  collected.resolve();
  await scene.platform.turn();
  assertEquals((await assertRejects(() => done, LocalError)).code, "BAD_TEXT");
  assertEquals(device.outbox, 0);
});

Deno.test("a transaction is refused if another server takes over its device meanwhile", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  const [socket] = [await scene.knock("1\n\n"), await scene.knock("2\n\n")];
  await scene.says(socket, "00a\n");
  const { server } = scene;
  const device = await server.device("1");
  const codeOf = async (done: Promise<void>) => (await assertRejects(() => done, LocalError)).code;
  const gate = Promise.withResolvers<void>();
  const late = [
    device.consume(() => gate.promise),
    server.transaction(async (tx) => {
      tx.write("1", "x");
      await gate.promise;
    }),
  ].map(codeOf);
  await scene.platform.turn();
  await store.acquire("1");
  await scene.says(socket, "01b\n");
  assert(scene.log.includes("warning 1 FENCED"));
  gate.resolve();
  await scene.platform.turn();
  assertEquals(await Promise.all(late), ["FENCED", "FENCED"]);
});

Deno.test("a transaction that is fenced by a device fails if another server has taken the device", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({ store });
  await scene.knock("1\n\n");
  const { server } = scene;
  const done = async (use: (tx: Transaction) => void) => {
    const result = server.transaction(use).then(() => "safe", ({ code }: LocalError) => code);
    await scene.platform.advance(100); // refusals are delayed
    return await result;
  };
  assertEquals(await done((tx) => tx.fence("2")), "UNKNOWN_DEVICE");
  assertEquals(await done((tx) => tx.fence("1")), "safe");
  await store.acquire("1");
  assertEquals(await done(() => {}), "safe", "it is not fenced by the device");
  assertEquals(await done((tx) => tx.fence("1")), "FENCED");
  assert(scene.log.includes("warning 1 FENCED"));
  assertEquals(await done((tx) => tx.fence("1")), "UNKNOWN_DEVICE");
});

Deno.test("a transaction in the commit that forgets one of its devices is refused as a whole, and its error names the device", async () => {
  await using scene = await ManualServer.start();
  await scene.knock("1\n\n");
  await scene.knock("2\n\n");
  const other = await scene.server.device("2");
  const forgotten = scene.server.forget("1");
  const written = scene.server.transaction((tx) => {
    tx.write("2", "x");
    tx.write("1", "x");
  });
  const refused = assertRejects(() => written, LocalError);
  await new Promise((resolve) => setImmediate(resolve)); // it is queued for the commit
  await Promise.all([forgotten, scene.platform.turn()]);
  const { code, device } = await refused;
  assertEquals([code, device, other.outbox], ["FORGOTTEN", "1", 0]);
});

Deno.test("a transaction whose device is forgotten while its function runs is refused, and its error names the device", async () => {
  await using scene = await ManualServer.start();
  await scene.knock("1\n\n");
  const gate = Promise.withResolvers<void>();
  const written = scene.server.transaction(async (tx) => {
    tx.write("1", "x");
    await gate.promise;
  });
  const refused = assertRejects(() => written, LocalError);
  const forgotten = scene.server.forget("1");
  await Promise.all([forgotten, scene.platform.turn()]);
  gate.resolve();
  await scene.platform.turn();
  const { code, device } = await refused;
  assertEquals([code, device], ["FORGOTTEN", "1"]);
});
