/** Events that wait too long for the broker are given up; states are not; and the bridge reports its condition. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { AtBroker } from "../../tests/support/at_broker.ts";
import { folder } from "../../tests/support/main_process.ts";
import { Mosquitto, MqttPeer } from "../../tests/support/mosquitto.ts";
import { ScriptBroker } from "../../tests/support/script_broker.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Platform } from "../../server/transport/platform.ts";
import { Channels, Client } from "../host/mod.ts";

const DAY = 24 * 60 * 60 * 1000;

/** A machine whose date a test sets; timers of more than a minute follow that date. */
class Calendar {
  date = Date.UTC(2026, 0, 1);
  readonly #later: { at: number; run: () => void }[] = [];

  readonly platform: Platform = {
    ...nodePlatform,
    date: () => this.date,
    after: (ms, run) => {
      if (ms < 60_001) return nodePlatform.after(ms, run);
      const one = { at: this.date + ms, run };
      this.#later.push(one);
      return () => void this.#later.splice(this.#later.indexOf(one) >>> 0, 1);
    },
  };

  passes(ms: number): void {
    this.date += ms;
    for (const one of this.#later.filter(({ at }) => at <= this.date)) {
      this.#later.splice(this.#later.indexOf(one), 1);
      one.run();
    }
  }
}

/** A device's client, and its channels. */
function deviceAt({ server }: AtBroker) {
  const client = new Client({ id: "1", port: server.port });
  const device = new Channels(client, { app: "a", version: "1", channels: {} });
  return { client, device };
}

toolTest("events of a week ago are given up, states and newer events are not", {
  mosquitto: "mosquitto",
}, async ({ mosquitto }) => {
  const calendar = new Calendar();
  await using broker = await Mosquitto.start(mosquitto);
  await using peer = new MqttPeer(broker.port, ["holdfast/#"]);
  await peer.ready();
  await using all = await AtBroker.start(
    { port: broker.port, maxAge: 7 * DAY },
    calendar.platform,
  );
  await peer.shows("holdfast/status", "online");
  await broker.stop();
  await until(() => all.mqtt.state.problem, { what: "LOST" });
  const { client, device } = deviceAt(all);
  await using _ = client;
  await Promise.all([1, 2, 3].map((n) => device.event("count", n)));
  await device.report("temp", 21);
  calendar.passes(6 * DAY);
  await device.event("count", 4);
  assertEquals(all.mqtt.state.givenUp, 0);
  calendar.passes(DAY);
  await until(() => all.mqtt.state.givenUp === 3, { what: () => JSON.stringify(all.mqtt.state) });
  await device.event("count", 5);
  calendar.passes(6 * DAY);
  await until(() => all.mqtt.state.givenUp === 4);
  const [warning, ...more] = all.warned("NOT_PUBLISHED");
  assertStringIncludes(warning!, "3 events that have waited longer than 604800000 ms were dropped");
  assertEquals(more, []);
  await broker.start();
  await peer.shows("holdfast/1/event/count", "5");
  await peer.shows("holdfast/1/temp", "21");
  assertEquals(peer.at("holdfast/1/event/count"), ["5"]);
  assertEquals(all.warned("NOT_PUBLISHED").slice(1), ["4 events were dropped in all"]);
});

Deno.test("without an age limit, events wait for a broker for ever", async () => {
  const calendar = new Calendar();
  await using all = await AtBroker.start({ port: 1 }, calendar.platform);
  const { client, device } = deviceAt(all);
  await using _ = client;
  await device.event("count", 1);
  calendar.passes(10_000 * DAY);
  await device.event("count", 2);
  const sql = "SELECT count(*) AS n FROM mqtt_out WHERE retain = 0";
  await until(async () => (await all.rows(sql))[0]!.n === 2);
  assertEquals(all.mqtt.state.givenUp, 0);
});

Deno.test("messages that became too old while the server was down are given up when it starts", async () => {
  using dir = folder();
  const calendar = new Calendar();
  const path = `${dir.path}/s.db`;
  {
    await using all = await AtBroker.start({ port: 1, maxAge: DAY }, calendar.platform, path);
    const { client, device } = deviceAt(all);
    await using _ = client;
    await device.event("count", 1);
    await until(() => all.mqtt.state.waiting.rows >= 1);
  }
  calendar.date += DAY;
  await using all = await AtBroker.start({ port: 1, maxAge: DAY }, calendar.platform, path);
  assertEquals(all.mqtt.state.givenUp, 1);
  assertEquals(await all.rows("SELECT topic FROM mqtt_out WHERE retain = 0"), []);
});

Deno.test("rows of an older store, which has no ages, count from the bridge's start", async () => {
  using dir = folder();
  const calendar = new Calendar();
  const path = `${dir.path}/s.db`;
  {
    await using all = await AtBroker.start({ port: 1 }, calendar.platform, path);
    const { client, device } = deviceAt(all);
    await using _ = client;
    await device.event("count", 1);
    const sql = "SELECT seq FROM mqtt_out WHERE retain = 0";
    await until(async () => (await all.rows(sql)).length === 1);
    await all.server.transaction((tx) => tx.run("ALTER TABLE mqtt_out DROP COLUMN since"));
    all.mqtt.close();
  }
  calendar.date += DAY;
  await using all = await AtBroker.start({ port: 1, maxAge: DAY }, calendar.platform, path);
  assertEquals(all.mqtt.state.givenUp, 0);
  calendar.passes(DAY);
  await until(() => all.mqtt.state.givenUp === 1);
});

Deno.test("messages after many given-up ones are sent, though their ids come again", async () => {
  await using broker = new ScriptBroker();
  const calendar = new Calendar();
  const options = {
    port: broker.port,
    version: 4,
    window: 2,
    maxAge: DAY,
  } as const;
  await using all = await AtBroker.start(options, calendar.platform);
  const { client, device } = deviceAt(all);
  await using _ = client;
  broker.takes = (topic) => !topic.endsWith("count");
  await broker.welcomes(false);
  const published = async (): Promise<number> => {
    const packet = await broker.hears("publish");
    return packet.messageId || await published(); // its status has none
  };
  const isDone = async (messageId: number) => {
    await broker.says({ cmd: "pubrec", messageId });
    await broker.says({ cmd: "pubcomp", messageId: (await broker.hears("pubrel")).messageId! });
  };
  await device.event("count", 1);
  const first = await published();
  broker.leaves();
  await broker.hears("connect"); // again
  // As if there had been 70,000 of them.
  await all.server.transaction((tx) =>
    tx.run("UPDATE sqlite_sequence SET seq = seq + 70000 WHERE name = 'mqtt_out'")
  );
  await device.event("count", 2);
  const sql = "SELECT seq FROM mqtt_out WHERE topic LIKE '%count'";
  const waits = async () => (await all.rows(sql)).length === 2;
  await until(waits);
  calendar.passes(DAY);
  await until(() => all.mqtt.state.givenUp === 1);
  await device.event("count", 3);
  await until(waits);
  await broker.says({ cmd: "connack", sessionPresent: true, returnCode: 0 });
  assertEquals(await published(), first);
  await isDone(first);
  await isDone(await published());
});

toolTest("the bridge's condition is reported without a query to the store", {
  mosquitto: "mosquitto",
}, async ({ mosquitto }) => {
  await using broker = await Mosquitto.start(mosquitto);
  await using peer = new MqttPeer(broker.port, ["holdfast/#"]);
  await using all = await AtBroker.start({ port: broker.port });
  const client = new Client({ id: "1", port: all.server.port });
  await using _ = client;
  const device = new Channels(client, {
    app: "a",
    version: "1",
    channels: { led: { set: () => {} } },
  });
  const { mqtt } = all;
  await peer.shows("holdfast/1/availability", "online");
  await device.event("count", 1);
  await peer.shows("holdfast/1/event/count", "1");
  peer.publish("holdfast/1/led/set", "1");
  peer.publish("holdfast/1/LED/set", "1"); // it cannot be carried out
  await peer.shows("holdfast/1/led", "1");
  const shown = () => JSON.stringify(mqtt.state);
  const isQuiet = () => mqtt.state.waiting.rows + mqtt.state.inFlight === 0;
  await until(() => isQuiet() && mqtt.state.received === 2, { what: shown });
  const { connectedSince, published, ...quiet } = mqtt.state;
  assert(published >= 3, shown());
  assert(Math.abs(Date.now() - connectedSince!.getTime()) < 60_000);
  assertEquals(quiet, {
    problem: undefined,
    connects: 1,
    waiting: { rows: 0, bytes: 0 },
    inFlight: 0,
    received: 2,
    givenUp: 0,
  });
  await broker.stop();
  await until(() => mqtt.state.problem, { what: shown });
  assertEquals(mqtt.state.connectedSince, undefined);
  const from = Date.now();
  for (let n = 10; n < 30; n++) await device.report("temp", n); // one state
  await device.event("count", 2);
  const bytes = "holdfast/1/temp".length + 2 + "holdfast/1/event/count".length + 1;
  await until(() => mqtt.state.waiting.rows === 2, { what: shown });
  assertEquals([mqtt.state.waiting.bytes, mqtt.state.inFlight], [bytes, 0]);
  const { since } = mqtt.state.waiting;
  assert(since!.getTime() >= from && since!.getTime() <= Date.now(), shown());
  await broker.start();
  await until(() => mqtt.state.connects === 2 && mqtt.state.published === published + 2, {
    what: shown,
  });
  await until(() => mqtt.state.waiting.rows === 0, { what: shown });
  assertEquals([mqtt.state.waiting.since, mqtt.state.problem], [undefined, undefined]);
});
