/** Requests, and commands that are done once, at a real broker. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { Bridged } from "../../tests/support/bridged.ts";
import { type Arrived, MqttPeer } from "../../tests/support/mosquitto.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { FaultError } from "../../server/mod.ts";
import { Channels, Client } from "../host/mod.ts";
import type { MqttOptions } from "./mod.ts";

const TOOLS = { mosquitto: "mosquitto" };
const VERSIONS = [["3.1.1", 4], ["5", 5]] as const;

/** A device that answers. */
function adc(port: number, id = "kitchen") {
  const asked: unknown[] = [];
  const done: unknown[] = [];
  const held = Promise.withResolvers<void>();
  const client = new Client({ id, port });
  const device = new Channels(client, {
    app: "adc",
    version: "1",
    channels: {
      adc: { ask: (value) => (asked.push(value), 512) },
      ping: { ask: () => {} },
      echo: { ask: (value) => value },
      fan: {
        ask: () => {
          throw new FaultError("busy", "it starts");
        },
      },
      slow: { ask: (value) => (asked.push(value), held.promise) },
      door: { event: (value) => void done.push(value) },
    },
  });
  return { client, device, asked, done, release: held.resolve };
}

/** A message that came to a topic, with its properties. @param n 0 for the first */
async function answer(peer: MqttPeer, topic: string, n = 0): Promise<Arrived> {
  const at = () => peer.arrived.filter((one) => one.topic === topic)[n];
  return await until(at, { what: () => `an answer at ${topic}: ${JSON.stringify(peer.arrived)}` });
}

const error = ({ payload }: Arrived) => JSON.parse(payload).error;

for (const [name, version] of VERSIONS) {
  toolTest(
    `a request gets its answer, or the reason why there is none, over MQTT ${name}`,
    TOOLS,
    async (tools) => {
      await using all = await Bridged.begin(tools.mosquitto, { version, deadline: 500 });
      const { peer, server } = all;
      const { client, asked } = adc(server.port);
      await using _ = client;
      await peer.shows("holdfast/kitchen/availability", "online");
      const ask = (channel: string, payload: string | Uint8Array = "") =>
        peer.publish(`holdfast/kitchen/request/${channel}`, payload);
      ask("adc", "3");
      ask("ping");
      ask("echo", '{"a":[1, 2]}');
      ask("fan");
      ask("no%2Fchannel");
      ask("ADC");
      peer.publish("holdfast/nobody/request/adc", "");
      const said = (channel: string, n = 0) =>
        answer(peer, `holdfast/kitchen/response/${channel}`, n);
      assertEquals((await said("adc")).payload, "512");
      assertEquals((await said("ping")).payload, "");
      assertEquals((await said("echo")).payload, '{"a":[1,2]}');
      const busy = await said("fan");
      assertEquals(busy.payload, '{"error":"busy","message":"it starts"}');
      assertEquals(busy.properties?.userProperties?.error, version === 5 ? "busy" : undefined);
      assertEquals(error(await said("no%2Fchannel")), "unknown");
      ask("adc", Uint8Array.of(0xff));
      assertEquals(error(await said("adc", 1)), "BAD_VALUE");
      assertEquals(error(await said("ADC")), "BAD_VALUE");
      assertEquals(error(await answer(peer, "holdfast/nobody/response/adc")), "UNKNOWN_DEVICE");
      assertEquals(asked, [3]);
      ask("slow");
      assertEquals(error(await said("slow")), "UNANSWERED");
      await client.close();
      ask("adc");
      assertEquals(error(await said("adc", 2)), "EXPIRED");
      assertEquals(peer.arrived.filter(({ isRetained }) => isRetained), []);
      assertEquals(all.warned, []);
    },
  );

  toolTest(`commands are carried out once, over MQTT ${name}`, TOOLS, async (tools) => {
    await using all = await Bridged.begin(tools.mosquitto, { version, deadline: 60_000 });
    const { peer, server } = all;
    {
      const { client, done } = adc(server.port);
      await using _ = client;
      await peer.shows("holdfast/kitchen/availability", "online");
      peer.publish("holdfast/kitchen/do/door", "open");
      peer.publish("holdfast/kitchen/do/door", "");
      await until(() => done.length === 2, { what: "the door" });
      assertEquals(done, ["open", undefined]);
    }
    peer.publish("holdfast/kitchen/do/door", "1"); // through an outage
    peer.publish("holdfast/kitchen/do/DOOR", "2");
    peer.publish("holdfast/nobody/do/door", "3");
    peer.publish("holdfast/kitchen/do/door", "4", true); // over 3.1.1 nobody can tell
    const wrong = () => all.warned.length >= 2;
    await until(wrong, { what: () => `warnings: ${all.warned}` });
    await peer.settled();
    const { client, done } = adc(server.port);
    await using _ = client;
    await until(() => done.length > 0, { what: "the door" });
    assertEquals(done[0], 1);
    const retained = version === 5 ? ["RETAINED_DO"] : [];
    const rest = () => all.warned.filter((code) => code.startsWith("RETAINED"));
    await until(() => rest().length >= retained.length);
    const others = all.warned.filter((code) => !code.startsWith("RETAINED"));
    assertEquals(others, ["BAD_VALUE", "UNKNOWN_DEVICE"]);
  });

  toolTest(
    `a retained request is ignored with a warning, over MQTT ${name}`,
    TOOLS,
    async ({ mosquitto }) => {
      await using all = await Bridged.begin(mosquitto, { version });
      const { client, asked } = adc(all.server.port);
      await using _ = client;
      await all.peer.shows("holdfast/kitchen/availability", "online");
      await all.stop();
      all.peer.publish("holdfast/kitchen/request/adc", "7", true);
      await all.peer.settled();
      // Over 3.1.1 it comes once as any other message, as the bridge was away, and again as a retained one.
      await all.start();
      const warned = () => all.warned.includes("RETAINED_REQUEST");
      await until(warned, { what: () => `RETAINED_REQUEST in ${all.warned}` });
      all.peer.publish("holdfast/kitchen/request/adc", "8");
      await until(() => asked.includes(8), { what: "the next request" });
      assertEquals(asked, version === 5 ? [8] : [7, 8]);
    },
  );

  toolTest(
    `a request whose server is closed is answered after the restart, over MQTT ${name}`,
    TOOLS,
    async ({ mosquitto }) => {
      await using all = await Bridged.begin(mosquitto, { version });
      const { client, asked, release } = adc(all.server.port);
      await using _ = client;
      await all.peer.shows("holdfast/kitchen/availability", "online");
      all.peer.publish("holdfast/kitchen/request/slow", "1");
      await until(() => asked.length === 1, { what: "the device to be asked" });
      await all.stop();
      release();
      await all.start();
      const topic = "holdfast/kitchen/response/slow";
      assertEquals(error(await answer(all.peer, topic)), "UNDECIDED");
      all.peer.publish("holdfast/kitchen/request/adc", "2");
      await answer(all.peer, "holdfast/kitchen/response/adc");
      assertEquals(all.peer.at(topic).length, 1);
      assertEquals(asked, [1, 2]);
      assertEquals(await owed(all), 0);
    },
  );
}

async function owed({ server }: Bridged): Promise<number> {
  let rows = -1;
  await server.transaction(async (tx) => {
    rows = Number((await tx.get("SELECT count(*) AS n FROM mqtt_requests"))!.n);
  });
  return rows;
}

toolTest(
  "an answer goes to the request's response topic, with its correlation data",
  TOOLS,
  async (tools) => {
    await using all = await Bridged.begin(tools.mosquitto);
    const { peer, server } = all;
    const { client } = adc(server.port);
    await using _ = client;
    await peer.shows("holdfast/kitchen/availability", "online");
    const ask = (responseTopic?: string, correlation?: string | number, channel = "echo") => {
      const correlationData = typeof correlation === "number"
        ? Buffer.alloc(correlation)
        : correlation === undefined
        ? undefined
        : Buffer.from(correlation);
      peer.publish(
        `holdfast/kitchen/request/${channel}`,
        correlation === undefined ? "" : "1",
        false,
        {
          ...(responseTopic !== undefined && { responseTopic }),
          ...(correlationData && { correlationData }),
        },
      );
    };
    ask("me/answers", "a");
    ask("me/answers", "b", "fan");
    ask(undefined, "c");
    const [one, two] = [await answer(peer, "me/answers"), await answer(peer, "me/answers", 1)];
    assertEquals([one.payload, error(two)], ["1", "busy"]);
    assertEquals([one, two].map(({ properties }) => String(properties?.correlationData)), [
      "a",
      "b",
    ]);
    const [plain, failed] = [one, two].map(({ properties }) => properties?.userProperties?.error);
    assertEquals([plain, failed], [undefined, "busy"]);
    const third = await answer(peer, "holdfast/kitchen/response/echo");
    assertEquals(String(third.properties?.correlationData), "c");
    const wrong = [
      "holdfast/kitchen/echo/set",
      "holdfast/kitchen/request/echo",
      "holdfast/kitchen/adc",
    ]
      .concat("$SYS/broker", "x".repeat(1025));
    for (const topic of wrong) ask(topic, "d");
    for (const [n, topic] of wrong.entries()) {
      const told = await answer(peer, "holdfast/kitchen/response/echo", n + 1);
      assertEquals([error(told), String(told.properties?.correlationData)], [
        "BAD_RESPONSE_TOPIC",
        "d",
      ], topic);
    }
    ask("me/answers", 1025);
    const long = await answer(peer, "me/answers", 2);
    assertEquals([error(long), long.properties?.correlationData], ["BAD_VALUE", undefined]);
    assertEquals(peer.at("holdfast/kitchen/adc"), []);
  },
);

toolTest("a message's expiry is the deadline of its request", TOOLS, async (tools) => {
  await using all = await Bridged.begin(tools.mosquitto, { deadline: 60_000 });
  const { peer, server } = all;
  {
    const { client } = adc(server.port);
    await using _ = client;
    await peer.shows("holdfast/kitchen/availability", "online");
  }
  await until(() => all.events.some(({ event }) => event === "disconnected"));
  peer.publish("holdfast/kitchen/request/adc", "", false, { messageExpiryInterval: 1 });
  peer.publish("holdfast/kitchen/do/door", "late", false, { messageExpiryInterval: 1 });
  peer.publish("holdfast/kitchen/do/door", "in time", false, { messageExpiryInterval: 3600 });
  assertEquals(error(await answer(peer, "holdfast/kitchen/response/adc")), "EXPIRED");
  const expired = () =>
    all.events.some((one) => one.event === "expired" && one.text === "!door late");
  await until(expired, { what: "the event to expire" });
  const { client, asked, done } = adc(server.port);
  await using _ = client;
  await until(() => done.length > 0, { what: "the door" });
  assertEquals([done, asked], [["in time"], []]);
});

toolTest("requests beyond the limit are refused", TOOLS, async (tools) => {
  const options: Partial<MqttOptions> = { mostRequests: 2, deadline: 60_000 };
  await using all = await Bridged.begin(tools.mosquitto, options);
  const { peer, server } = all;
  const { client, asked, release } = adc(server.port);
  await using _ = client;
  await peer.shows("holdfast/kitchen/availability", "online");
  for (let n = 1; n <= 5; n++) peer.publish("holdfast/kitchen/request/slow", String(n));
  const topic = "holdfast/kitchen/response/slow";
  const refused = await Promise.all([0, 1, 2].map((n) => answer(peer, topic, n)));
  assertEquals(refused.map(error), Array(3).fill("TOO_MANY_REQUESTS"));
  release();
  await answer(peer, topic, 4);
  assertEquals(asked, [1, 2]);
  peer.publish("holdfast/kitchen/request/adc", ""); // there is room again
  assertEquals((await answer(peer, "holdfast/kitchen/response/adc")).payload, "512");
});

toolTest("subscriptions of an earlier prefix are removed", TOOLS, async (tools) => {
  await using all = await Bridged.begin(tools.mosquitto, { prefix: "old" });
  const { peer } = all;
  await peer.shows("old/status", "online");
  await all.stop();
  await all.start({ prefix: "new" });
  await peer.shows("new/status", "online");
  const filters = async () => {
    let found: string[] = [];
    await all.server.transaction(async (tx) => {
      found = (await tx.all("SELECT filter FROM mqtt_filters")).map(({ filter }) => String(filter));
    });
    return found;
  };
  let last: string[] = [];
  await until(async () => !(last = await filters()).some((filter) => filter.startsWith("old/")), {
    what: () => `no old filter in ${last}`,
  });
  assertEquals(last.sort(), ["new/+/+/set", "new/+/do/+", "new/+/request/+"]);
  peer.publish("old/kitchen/led/set", "1");
  peer.publish("new/nobody/led/set", "1");
  await until(() => all.warned.length > 0, { what: "a warning" });
  assertEquals(all.warned, ["UNKNOWN_DEVICE"]); // and not UNKNOWN_TOPIC before it
  const warning = all.events.find(({ event }) => event === "warning")!;
  assertStringIncludes(JSON.stringify(warning), "new/nobody/led/set");
});
