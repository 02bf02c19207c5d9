/** Each demonstration end to end: the compiled device application, a server, and an outage between them. */
import { assert, assertEquals } from "@std/assert";
import { Board, loadModule } from "../../bridge/host/mod.ts";
import { main } from "../../server/apps/main.ts";
import { qos } from "../../server/apps/qos.ts";
import { qosFast } from "../../server/apps/qos_fast.ts";
import { remote } from "../../server/apps/remote.ts";
import { Sequence } from "../../server/apps/sequence.ts";
import { column, faults, NONE, serve } from "../support/demos.ts";
import { FaultProxy } from "../support/proxy.ts";
import { until } from "../support/wait.ts";

const TIMEOUT = 400;

/** A board that runs a demonstration at 250 times its speed, behind a network that can fail. */
async function plugIn(name: string, id: string, port: number, dialect: 1 | 2 = 2) {
  const stack = new AsyncDisposableStack();
  const proxy = stack.use(await FaultProxy.start({ target: { port } }));
  const logged: string[] = [];
  const application = loadModule(new URL(`../../client-as/build/${name}.wasm`, import.meta.url));
  const board = stack.use(
    new Board({
      application,
      id,
      port: proxy.port,
      timeout: TIMEOUT,
      dialect,
      speed: 250,
      onLog: (line) => logged.push(line),
    }),
  );
  /** An outage, from its beginning to its end. */
  const outage = async () => {
    const { connects } = board;
    proxy.blackhole();
    await until(() => !board.connected, { what: "the outage to be noticed" });
    proxy.restore({ drop: true });
    await until(() => board.connects > connects, { what: "the link to be back" });
  };
  return { board, proxy, logged, outage, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("main: four devices exchange counters with the server, and lose none in an outage", async () => {
  const printed: string[] = [];
  await using demo = await serve(
    main({ interval: 10, print: (line) => printed.push(line) }),
    TIMEOUT,
  );
  await using one = await plugIn("main", "1", demo.port);
  await using two = await plugIn("main", "2", demo.port);
  await using three = await plugIn("main", "3", demo.port);
  await using four = await plugIn("main", "4", demo.port);
  const got = (id: string) => column(printed.filter((line) => line.startsWith(`${id}: got`)), 1);
  const answers = ({ logged }: typeof one) =>
    column(logged.filter((line) => line.startsWith("Got")), 0);
  await until(() => got("1").length > 3 && answers(one).length > 3, { what: "counters" });
  await one.outage();
  await two.outage();
  one.proxy.reset();
  const before = got("1").length;
  await until(() => got("1").length > before + 3, { what: "more counters" });
  await until(() => got("2").length > 3, { what: "counters of 2" });
  for (const [id, device] of Object.entries({ 1: one, 2: two, 3: three, 4: four })) {
    await until(() => got(id).length > 3 && answers(device).length > 3, {
      what: `counts of ${id}`,
    });
    assertEquals(faults(got(id)), NONE);
    assertEquals(faults(answers(device)), NONE);
  }
  assert(one.logged.includes("Link up") && one.logged.includes("Link down"));
});

Deno.test("remote: a switch works an LED, and after an outage of either the LED is right again", async () => {
  const printed: string[] = [];
  await using demo = await serve(remote({ print: (line) => printed.push(line) }), TIMEOUT);
  await using tx = await plugIn("remote_tx", "tx", demo.port);
  await using rx = await plugIn("remote_rx", "rx", demo.port);
  const led = (level: number) =>
    until(() => rx.board.pin(2) === level, { what: `the LED to be ${level}` });
  for (const level of [0, 1, 0]) {
    tx.board.setPin(0, level);
    await led(level);
  }

  tx.proxy.blackhole();
  await until(() => !tx.board.connected, { what: "tx to notice the outage" });
  tx.board.setPin(0, 1); // nobody sees this
  tx.proxy.restore({ drop: true });
  await led(1);

  rx.proxy.blackhole();
  tx.board.setPin(0, 0); // sent to a connection that is dead already
  await until(() => printed.at(-1)?.endsWith("[0]"), { what: "the server to pass it on" });
  await until(() => !rx.board.connected, { what: "rx to notice the outage" });
  assertEquals(rx.board.pin(2), 1);
  rx.proxy.restore({ drop: true });
  await led(0);
});

for (const dialect of [1, 2] as const) {
  Deno.test(`qos, dialect ${dialect}: nothing is missing, doubled or out of order after outages`, async () => {
    const printed: string[] = [];
    const sequence = new Sequence();
    const print = (line: string) => void printed.push(line);
    await using demo = await serve(qos({ interval: 10, print, sequence: () => sequence }), TIMEOUT);
    await using device = await plugIn("qos", "qos", demo.port, dialect);
    const newest = () => column(device.logged, 0).at(-1) ?? 0;
    for (const fault of [device.outage, () => device.proxy.reset(), device.outage]) {
      const next = newest() + 5;
      await until(() => newest() >= next, { what: `message ${next}` });
      await fault();
    }
    const last = newest() + 5;
    const reports = printed.length + 2;
    await until(() => newest() >= last && printed.length >= reports, { what: `message ${last}` });
    assertEquals(`${sequence}`, NONE);
    const there = device.logged.findLast((line) => line.startsWith("["))!;
    assertEquals(JSON.parse(there).slice(3, 6), [0, 0, 0]);
    assert(
      printed.at(-1)!.startsWith(`qos: here: ${NONE}; there: missing 0, duplicates 0, connects`),
    );
  });
}

for (const dialect of [1, 2] as const) {
  Deno.test(`qos_fast, dialect ${dialect}: nothing is missing or doubled after outages amid bursts`, async () => {
    const sequence = new Sequence();
    const options = { interval: 10, print: () => {}, sequence: () => sequence };
    await using demo = await serve(qosFast(options), TIMEOUT);
    await using device = await plugIn("qos_fast", "qos", demo.port, dialect);
    const newest = () => column(device.logged, 0).at(-1) ?? 0;
    for (const fault of [device.outage, () => device.proxy.reset(), device.outage]) {
      const next = newest() + 12;
      await until(() => newest() >= next, { what: `message ${next}` });
      await fault();
    }
    const last = newest() + 12;
    await until(() => newest() >= last, { what: `message ${last}` });
    await until(() => sequence.missing === 0, { what: "late messages" });
    assertEquals([sequence.duplicates, sequence.restarts], [0, 0]);
    const there = () => JSON.parse(device.logged.findLast((line) => line.startsWith("["))!);
    await until(() => there()[4] === 0, { what: "late messages on the device" });
    assertEquals(there()[3], 0);
  });
}
