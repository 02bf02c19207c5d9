/** Each demonstration on a chip: the application as it would be flashed, a server, and an outage between them. */
import { assert, assertEquals } from "@std/assert";
import { main } from "../../server/apps/main.ts";
import { qos } from "../../server/apps/qos.ts";
import { qosFast } from "../../server/apps/qos_fast.ts";
import { remote } from "../../server/apps/remote.ts";
import { Sequence } from "../../server/apps/sequence.ts";
import { column, faults, NONE, serve } from "../support/demos.ts";
import { until } from "../support/wait.ts";
import { toolTest } from "../support/tools.ts";
import { application, chipTest, chipTools, firmware, isUp, plugInBehindProxy } from "./support.ts";

/** The server's timeout in ms. */
const TIMEOUT = 1000;
/** How many times faster than real time the chips' clocks run. */
const SPEED = 50;

/** Starts a chip with the application in flash, or in the firmware. */
function start(name: string, id: string, port: number, dialect: 1 | 2 = 2, firmware?: string) {
  return plugInBehindProxy({
    ...(firmware === undefined ? { application: application(name) } : { firmware }),
    id,
    port,
    speed: SPEED,
    settings: { timeout: TIMEOUT * SPEED, dialect },
  });
}

type Started = Awaited<ReturnType<typeof start>>;

/** Lines that an application has logged. */
function logged({ board }: Started): string[] {
  board.check();
  return board.lines.filter((line) => line.startsWith("app: ")).map((line) => line.slice(5));
}

chipTest(
  "main: a chip exchanges counters with the server, and loses none in an outage",
  async () => {
    const printed: string[] = [];
    await using demo = await serve(
      main({ interval: 20, print: (line) => printed.push(line) }),
      TIMEOUT,
    );
    await using one = await start("main", "1", demo.port);
    const got = () => column(printed.filter((line) => line.startsWith("1: got")), 1);
    const answers = () => column(logged(one).filter((line) => line.startsWith("Got")), 0);
    await until(() => got().length > 3 && answers().length > 3, { what: "counters" });
    await one.outage();
    one.proxy.reset();
    const before = got().length;
    await until(() => got().length > before + 3, { what: "more counters" });
    assertEquals(faults(got()), NONE);
    assertEquals(faults(answers()), NONE);
    const log = logged(one);
    assert(log.includes("Link up") && log.includes("Link down"));
  },
);

chipTest(
  "remote: a switch on a chip controls an LED on another, also after outages of either",
  async () => {
    const printed: string[] = [];
    await using demo = await serve(remote({ print: (line) => printed.push(line) }), TIMEOUT);
    await using tx = await start("remote_tx", "tx", demo.port);
    await using rx = await start("remote_rx", "rx", demo.port);
    const led = (level: number) =>
      until(() => rx.board.pin(2) === level, { what: `the LED to be ${level}` });
    await until(() => isUp(tx.board) && isUp(rx.board), { what: "both links" });
    for (const level of [0, 1, 0]) {
      tx.board.setPin(0, level);
      await led(level);
    }

    tx.proxy.blackhole();
    await until(() => !isUp(tx.board), { what: "tx to notice the outage" });
    tx.board.setPin(0, 1); // nobody sees this
    tx.proxy.restore({ drop: true });
    await led(1);

    rx.proxy.blackhole();
    tx.board.setPin(0, 0); // sent to a connection that is dead already
    await until(() => printed.at(-1)?.endsWith("[0]"), { what: "the server to pass it on" });
    await until(() => !isUp(rx.board), { what: "rx to notice the outage" });
    assertEquals(rx.board.pin(2), 1);
    rx.proxy.restore({ drop: true });
    await led(0);
  },
);

for (
  const { dialect, aot = false, tools = chipTools } of [
    { dialect: 1 },
    { dialect: 2 },
    { dialect: 2, aot: true, tools: { ...chipTools, wasm2c: "wabt" } },
  ] as const
) {
  toolTest<string>(
    `qos on a chip${aot ? " ahead of time" : ""}, dialect ${dialect}: ` +
      "nothing is missing, doubled or out of order after outages",
    tools,
    async () => {
      const sequence = new Sequence();
      const options = { interval: 20, print: () => {}, sequence: () => sequence };
      await using demo = await serve(qos(options), TIMEOUT);
      await using device = await start(
        "qos",
        "qos",
        demo.port,
        dialect,
        aot ? await firmware([], application("qos")) : undefined,
      );
      const newest = () => column(logged(device), 0).at(-1) ?? 0;
      for (const fault of [device.outage, () => device.proxy.reset(), device.outage]) {
        const next = newest() + 3;
        await until(() => newest() >= next, { what: `message ${next}` });
        await fault();
      }
      const last = newest() + 3;
      await until(() => newest() >= last, { what: `message ${last}` });
      assertEquals(`${sequence}`, NONE);
      const there = logged(device).findLast((line) => line.startsWith("["))!;
      assertEquals(JSON.parse(there).slice(3, 6), [0, 0, 0]);
    },
  );
}

for (const dialect of [1, 2] as const) {
  chipTest(
    `qos_fast on a chip, dialect ${dialect}: nothing is missing or doubled after outages amid bursts`,
    async () => {
      const sequence = new Sequence();
      const options = { interval: 20, print: () => {}, sequence: () => sequence };
      await using demo = await serve(qosFast(options), TIMEOUT);
      await using device = await start("qos_fast", "qos", demo.port, dialect);
      const newest = () => column(logged(device), 0).at(-1) ?? 0;
      for (const fault of [device.outage, () => device.proxy.reset(), device.outage]) {
        const next = newest() + 12;
        await until(() => newest() >= next, { what: `message ${next}` });
        await fault();
      }
      const last = newest() + 12;
      await until(() => newest() >= last, { what: `message ${last}` });
      await until(() => sequence.missing === 0, { what: "late messages" });
      assertEquals([sequence.duplicates, sequence.restarts], [0, 0]);
      const there = () => JSON.parse(logged(device).findLast((line) => line.startsWith("["))!);
      await until(() => there()[4] === 0, { what: "late messages on the device" });
      assertEquals(there()[3], 0);
    },
  );
}
