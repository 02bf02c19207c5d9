/** Devices at a real broker: their messages arrive there, and messages from there reach them. */
import { assertEquals, assertRejects } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { type Arrived, Mosquitto, MqttPeer } from "../../tests/support/mosquitto.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError, Server, type ServerEvent, type ServerOptions } from "../../server/mod.ts";
import { Channels, Client } from "../host/mod.ts";
import type { Version } from "./codec.ts";
import { MqttBridge, type MqttOptions } from "./mod.ts";

const TOOLS = { mosquitto: "mosquitto" };

const VERSIONS: readonly [string, Version][] = [["3.1.1", 4], ["5", 5]];

/** A server with a bridge to a broker, and somebody at that broker. */
async function begin(
  mosquitto: string,
  options: Partial<MqttOptions> = {},
  { app }: Pick<ServerOptions, "app"> = {},
) {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(folder());
  const broker = stack.use(await Mosquitto.start(mosquitto));
  const peer = stack.use(new MqttPeer(broker.port, ["holdfast/#"]));
  await peer.ready();
  const mqtt = new MqttBridge({ hostname: "127.0.0.1", port: broker.port, ...options });
  const server = stack.use(
    await Server.listen({
      port: 0,
      hostname: "127.0.0.1",
      open: true,
      store: `${path}/server.db`,
      durability: "normal",
      observe: mqtt.observe,
      ...(app && { app }),
    }),
  );
  stack.use(mqtt);
  const events: ServerEvent[] = [];
  server.events.subscribe((event) => void events.push(event));
  await mqtt.start(server);
  const all = stack.move();
  return { server, mqtt, broker, peer, events, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** A device that has an LED, and says what it was set to. */
function ledDevice(port: number, id = "kitchen") {
  const set: unknown[] = [];
  const client = new Client({ id, port });
  const device = new Channels(client, {
    app: "kitchen",
    version: "1",
    channels: { led: { set: (value) => void set.push(value) }, "led/2": { set: () => 5 } },
  });
  return { client, device, set };
}

for (const [name, version] of VERSIONS) {
  toolTest(
    `a report, an event, a setting and its answer arrive, over MQTT ${name}`,
    TOOLS,
    async ({ mosquitto }) => {
      await using all = await begin(mosquitto, { version });
      const { peer, server } = all;
      await peer.shows("holdfast/status", "online");
      const { client, device, set } = ledDevice(server.port);
      await using _ = client;
      await peer.shows("holdfast/kitchen/availability", "online");
      await device.report("temp", 21.5);
      await peer.shows("holdfast/kitchen/temp", "21.5");
      await device.event("button", "pressed");
      await peer.shows("holdfast/kitchen/event/button", "pressed");
      peer.publish("holdfast/kitchen/led/set", "1");
      await peer.shows("holdfast/kitchen/led", "1");
      peer.publish("holdfast/kitchen/led%2F2/set", '{"on": true}');
      await peer.shows("holdfast/kitchen/led%2F2", "5"); // as the device answers
      assertEquals(set, [1]);
      const desired = (await server.thing("kitchen")).desired("led")!;
      assertEquals([desired.value, desired.by], [1, "mqtt"]);
      await using later = new MqttPeer(all.broker.port, ["holdfast/#"]);
      await later.shows("holdfast/kitchen/temp", "21.5");
      await later.shows("holdfast/status", "online");
      assertEquals(later.arrived.every(({ isRetained }) => isRetained), true);
      assertEquals(later.at("holdfast/kitchen/event/button"), []);
      all.mqtt.close();
      await peer.shows("holdfast/status", "offline");
    },
  );

  toolTest(
    `a setting that cannot be carried out is a warning by name, over MQTT ${name}`,
    TOOLS,
    async ({ mosquitto }) => {
      await using all = await begin(mosquitto, { version });
      const { peer, server, events } = all;
      const { client, set } = ledDevice(server.port);
      await using _ = client;
      await peer.shows("holdfast/kitchen/availability", "online");
      const bad: [string, string | Uint8Array][] = [
        ["holdfast/kitchen/led/set", ""],
        ["holdfast/kitchen/led/set", Uint8Array.of(0xff, 0xfe)],
        ["holdfast/kitchen/led/set", "x".repeat(2000)],
        ["holdfast/kitchen/led/set", "x".repeat(600_000)],
        ["holdfast/kitchen/LED/set", "1"],
        ["holdfast/nobody/led/set", "1"],
        ["holdfast/kitchen%2f/led/set", "1"],
      ];
      for (const [topic, payload] of bad) peer.publish(topic, payload);
      peer.publish("holdfast/kitchen/led/set", "2");
      await peer.shows("holdfast/kitchen/led", "2");
      const warnings = events.filter((event) => event.event === "warning");
      const codes = [...Array(5).fill("BAD_VALUE"), "UNKNOWN_DEVICE", "UNKNOWN_TOPIC"];
      assertEquals(
        warnings.map(({ code, topic }) => [code, topic]),
        bad.map(([topic], i) => [codes[i], topic]),
      );
      assertEquals(set, [2]);
    },
  );

  toolTest(
    `a retained setting is ignored with a warning, over MQTT ${name}`,
    TOOLS,
    async ({ mosquitto }) => {
      await using broker = await Mosquitto.start(mosquitto);
      await using peer = new MqttPeer(broker.port, ["holdfast/#"]);
      peer.publish("holdfast/kitchen/led/set", "1", true);
      await peer.settled();
      await using all = await begin(mosquitto, { version, port: broker.port });
      const { client, device, set } = ledDevice(all.server.port);
      await using _ = client;
      await device.report("temp", 1);
      const warned = () =>
        all.events.some((event) => "code" in event && event.code === "RETAINED_SET");
      await until(warned, { what: "RETAINED_SET" });
      peer.publish("holdfast/kitchen/led/set", "2");
      await peer.shows("holdfast/kitchen/led", "2");
      assertEquals(set, [2]);
    },
  );
}

for (const [name, version] of VERSIONS) {
  for (const isSaved of [false, true]) {
    const what = isSaved ? "and knows only what it has saved" : "and has saved nothing";
    toolTest(
      `a broker that is killed amid messages ${what} stops nothing for good, over MQTT ${name}`,
      TOOLS,
      ({ mosquitto }) => killAmidMessages(mosquitto, version, isSaved),
    );
  }
}

async function killAmidMessages(mosquitto: string, version: Version, isSaved: boolean) {
  await using all = await begin(mosquitto, { version });
  const { peer, server, broker, events } = all;
  const { client, device } = ledDevice(server.port);
  await using _ = client;
  await peer.shows("holdfast/kitchen/availability", "online");
  const count = (code: string) => events.filter((one) => "code" in one && one.code === code).length;
  if (isSaved) {
    await broker.stop();
    await broker.start();
  }
  const counts = "holdfast/kitchen/event/count";
  let [n, isDone] = [0, false];
  const telling = (async () => {
    while (!isDone) await device.event("count", n++);
  })();
  for (let kill = 1; kill <= 3; kill++) {
    for (let i = 0; i < 50; i++) peer.publish("holdfast/kitchen/led/set", String(i));
    const seen = peer.at(counts).length;
    await until(() => peer.at(counts).length > seen + 20, { what: `events before kill ${kill}` });
    await broker.stop("SIGKILL");
    peer.expectsOlderSession();
    await broker.start();
    if (!isSaved) await until(() => count("BROKER_FORGOT") === kill, { what: "BROKER_FORGOT" });
  }
  // What is told from now on comes, once and in order.
  const [from, before] = [n, peer.arrived.length];
  const isNew = ({ topic, payload }: Arrived) => topic === counts && Number(payload) > from;
  const later = () => peer.arrived.slice(before).filter(isNew).map(({ payload }) => payload);
  await until(() => later().length > 20, { what: () => `events after ${from}` });
  isDone = true;
  await telling;
  await peer.shows(counts, String(n - 1));
  const wanted = Array.from({ length: n - from - 1 }, (_, i) => String(from + 1 + i));
  assertEquals(later(), wanted);
  await peer.settled();
  peer.publish("holdfast/kitchen/led/set", "99");
  await peer.shows("holdfast/kitchen/led", "99");
  await until(async () => await rowsOf(server) === 0, { what: "all rows to be gone" });
  assertEquals(count("BROKER_FORGOT"), isSaved ? 0 : 3);
  await using newcomer = new MqttPeer(broker.port, ["holdfast/#"]);
  await newcomer.shows("holdfast/kitchen/led", "99");
  await newcomer.shows("holdfast/kitchen/availability", "online");
  await newcomer.shows("holdfast/status", "online");
}

/** How many rows are on their way, or wait. */
async function rowsOf(server: Server): Promise<number> {
  let rows = 0;
  await server.transaction(async (tx) => {
    const sql = "SELECT (SELECT count(*) FROM mqtt_out) + (SELECT count(*) FROM mqtt_in) AS n";
    rows = Number((await tx.get(sql))!.n);
  });
  return rows;
}

toolTest(
  "a device that is away for longer than `offlineAfter` is announced as offline, and as online when it is back",
  TOOLS,
  async ({ mosquitto }) => {
    await using all = await begin(mosquitto, { offlineAfter: 100 });
    const { peer, server } = all;
    const topic = "holdfast/a%2Fb/availability";
    {
      const { client } = ledDevice(server.port, "a/b");
      await using _ = client;
      await peer.shows(topic, "online");
    }
    await peer.shows(topic, "offline");
    const { client } = ledDevice(server.port, "a/b");
    await using _ = client;
    await peer.shows(topic, "online");
    assertEquals(peer.at(topic), ["online", "offline", "online"]);
  },
);

toolTest(
  "of a state that waits for the broker only the last value is sent, of events all",
  TOOLS,
  async ({ mosquitto }) => {
    await using all = await begin(mosquitto);
    const { peer, server, broker, events } = all;
    const { client, device } = ledDevice(server.port);
    await using _ = client;
    await peer.shows("holdfast/kitchen/availability", "online");
    await broker.stop();
    await until(() => events.some((event) => event.event === "broker" && event.code), {
      what: "LOST",
    });
    for (let n = 1; n <= 20; n++) {
      await device.report("temp", n);
      await device.event("count", n);
    }
    await until(async () => (await server.thing("kitchen")).reported("temp")?.value === 20);
    await broker.start();
    await peer.shows("holdfast/kitchen/event/count", "20");
    await peer.shows("holdfast/kitchen/temp", "20");
    assertEquals(peer.at("holdfast/kitchen/temp"), ["20"]);
    const all20 = Array.from({ length: 20 }, (_, i) => String(i + 1));
    assertEquals(peer.at("holdfast/kitchen/event/count"), all20);
  },
);

toolTest(
  "if too much waits for the broker, the device's messages wait, and none is lost",
  TOOLS,
  async ({ mosquitto }) => {
    await using all = await begin(mosquitto, { mostRows: 5 });
    const { peer, server, broker, events } = all;
    const { client, device } = ledDevice(server.port);
    await using _ = client;
    await peer.shows("holdfast/kitchen/availability", "online");
    await broker.stop();
    const sent = Array.from({ length: 30 }, (_, n) => device.event("count", n));
    await until(() => events.some((event) => "code" in event && event.code === "BROKER_BEHIND"), {
      what: "BROKER_BEHIND",
    });
    await Promise.all(sent);
    assertEquals(await rowsOf(server), 5);
    await broker.start();
    await peer.shows("holdfast/kitchen/event/count", "29");
    assertEquals(peer.at("holdfast/kitchen/event/count"), sent.map((_, n) => String(n)));
  },
);

toolTest("a broker that lost its state gets everything again", TOOLS, async ({ mosquitto }) => {
  await using all = await begin(mosquitto);
  const { peer, server, broker, events } = all;
  const { client, device } = ledDevice(server.port);
  await using _ = client;
  await device.report("temp", 1);
  await peer.shows("holdfast/kitchen/temp", "1");
  await broker.stop("SIGKILL"); // it has written nothing yet
  await broker.start();
  await until(() => events.some((event) => "code" in event && event.code === "BROKER_FORGOT"), {
    what: "BROKER_FORGOT",
  });
  await using later = new MqttPeer(broker.port, ["holdfast/#"]);
  await later.shows("holdfast/kitchen/temp", "1");
  await later.shows("holdfast/kitchen/availability", "online");
  await later.shows("holdfast/status", "online");
});

Deno.test("a store without a database is refused by name", async () => {
  using mqtt = new MqttBridge({ hostname: "127.0.0.1", port: 1 });
  await using server = await Server.listen({ port: 0, open: true, observe: mqtt.observe });
  const error = await assertRejects(() => mqtt.start(server), LocalError, "--store");
  assertEquals(error.code, "BAD_ARGUMENT");
});
