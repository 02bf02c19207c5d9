/** Topics of devices' own: which they may have; and at a real broker, what comes to them and from them. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Bridged } from "../../tests/support/bridged.ts";
import { MqttPeer } from "../../tests/support/mosquitto.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { LocalError, type Server } from "../../server/mod.ts";
import { Channels, Client } from "../host/mod.ts";
import { MqttBridge } from "./mod.ts";
import { messageIn, valueFor } from "./own_message.ts";
import { OwnTopics } from "./own_topics.ts";
import { Topics } from "./topics.ts";

const TOOLS = { mosquitto: "mosquitto" };

/** A device with topics of its own. */
function hearing(port: number, id = "kitchen") {
  const heard: unknown[] = [];
  const faults: string[] = [];
  const client = new Client({ id, port });
  const device = new Channels(client, {
    app: "hearing",
    version: "1",
    channels: { mqtt: { event: (value) => void heard.push(value) } },
    onError: (error) => void faults.push(String((error as Error).message)),
  });
  return { client, device, heard, faults };
}

/** All filters that the broker has granted. */
async function granted({ server }: Bridged): Promise<string[]> {
  let found: string[] = [];
  await server.transaction(async (tx) => {
    const rows = await tx.all(
      "SELECT filter FROM mqtt_filters WHERE is_granted = 1 ORDER BY filter",
    );
    found = rows.map(({ filter }) => String(filter));
  });
  return found;
}

async function hears(all: Bridged, ...filters: string[]): Promise<void> {
  let last: string[] = [];
  const are = async () => (last = await granted(all)).join() === filters.join();
  await until(are, { what: () => `${filters}; there are ${last}; ${JSON.stringify(all.events)}` });
}

for (const [name, version] of [["3.1.1", 4], ["5", 5]] as const) {
  toolTest(
    `a device publishes to topics of its own, and hears them, over MQTT ${name}`,
    TOOLS,
    async (tools) => {
      await using all = await Bridged.begin(tools.mosquitto, { version, ownTopics: ["home/#"] });
      const { peer } = all;
      const { client, device, heard } = hearing(all.server.port);
      await using _ = client;
      await device.event("mqtt", "home/door open at last");
      await device.event("mqtt", { topic: "home/state", value: { on: true }, retain: true });
      await device.event("mqtt", "home/empty");
      await peer.shows("home/door", "open at last");
      await peer.shows("home/state", '{"on":true}');
      await peer.shows("home/empty", "");
      await using later = new MqttPeer(all.broker.port, ["home/#"]);
      await later.shows("home/state", '{"on":true}');
      assertEquals(later.at("home/door"), []);

      await device.report("mqtt", ["home/state", "home/hall/+"]);
      await until(() => heard.length === 1, { what: "what is retained" });
      await hears(all, "home/hall/+", "home/state");
      peer.publish("home/hall/a", "1");
      peer.publish("home/hall/b c", '{ "a":\n 1 }');
      peer.publish("home/hall/d", "two\nlines");
      peer.publish("home/hall/e", "");
      peer.publish("home/other", "nobody hears this");
      peer.publish("home/hall/f", Uint8Array.of(0xff));
      peer.publish("home/hall/g", "end");
      await until(() => heard.length === 6, {
        what: () => `six messages: ${JSON.stringify(heard)}`,
      });
      assertEquals(heard, [
        'home/state {"on":true}',
        "home/hall/a 1",
        { topic: "home/hall/b c", value: { a: 1 } },
        'home/hall/d "two\\nlines"',
        "home/hall/e",
        "home/hall/g end",
      ]);
      assertEquals(all.warned, ["BAD_VALUE"]);
      await device.report("mqtt", []);
      await hears(all);
    },
  );

  toolTest(
    `what a device hears survives its outage, its reboot, and the server's restart, over MQTT ${name}`,
    TOOLS,
    async ({ mosquitto }) => {
      await using all = await Bridged.begin(mosquitto, { version, ownTopics: ["home/#"] });
      {
        const { client, device } = hearing(all.server.port);
        await using _ = client;
        await device.report("mqtt", ["home/hall"]);
        await hears(all, "home/hall");
      }
      const publish = (n: number) => all.peer.publish("home/hall", String(n));
      publish(1);
      await all.peer.settled();
      await all.stop();
      publish(2);
      await all.peer.settled();
      await all.start();
      publish(3);
      await all.broker.stop();
      publish(4);
      await all.broker.start();
      const { client, device, heard } = hearing(all.server.port);
      await using _ = client;
      await until(() => heard.length >= 4, { what: () => `four messages: ${heard}` });
      publish(5);
      await until(() => heard.length >= 5, { what: () => `five messages: ${heard}` });
      assertEquals(heard, [1, 2, 3, 4, 5].map((n) => `home/hall ${n}`));
      await device.event("button");
      assertEquals(all.warned, []);
    },
  );
}

toolTest(
  "several devices hear the same topic, and one without room loses only its own messages",
  TOOLS,
  async (tools) => {
    await using all = await Bridged.begin(tools.mosquitto, { ownTopics: ["home/#"] });
    await all.stop();
    await all.start({}, { limits: { outbox: 3 } });
    const full = hearing(all.server.port, "full");
    await full.device.report("mqtt", ["home/hall"]);
    const good = hearing(all.server.port, "good");
    await using _ = good.client;
    await good.device.report("mqtt", ["home/hall"]);
    await hears(all, "home/hall");
    await full.client.close();
    await until(() =>
      all.events.some((one) => one.event === "disconnected" && one.device === "full")
    );
    for (let n = 1; n <= 6; n++) {
      all.peer.publish("home/hall", String(n));
      await until(() => good.heard.length === n, { what: () => `${n}: ${good.heard}` });
    }
    const lost = all.events.flatMap((one) =>
      one.event === "warning" ? [[one.device, one.code, one.topic]] : []
    );
    assertEquals(lost, Array(3).fill(["full", "OUTBOX_FULL", "home/hall"]));
    const again = hearing(all.server.port, "full");
    await using __ = again.client;
    await until(() => again.heard.length === 3, { what: () => `three: ${again.heard}` });
    assertEquals(again.heard, [1, 2, 3].map((n) => `home/hall ${n}`));
  },
);

toolTest("a device learns what it may not do, and the log has it, too", TOOLS, async (tools) => {
  const ownTopics = ["home/{id}/#", "+/shared", "holdfast/open/x"];
  await using all = await Bridged.begin(tools.mosquitto, { ownTopics });
  const { client, device, faults } = hearing(all.server.port, "a/b");
  await using _ = client;
  const other = hearing(all.server.port, "other");
  await using __ = other.client;
  await other.device.report("mqtt", ["home/shared", "home/other/+/x"]);
  await hears(all, "home/other/+/x", "home/shared");
  const wrong: [unknown, string][] = [
    ["home/other/x 1", "operator allows"],
    ["holdfast/shared 1", "operator allows"], // no wildcard matches below the bridge's prefix
    ["holdfast/other/led/set 1", "operator allows"],
    ["home/a%2Fb/# 1", "must not have + or #"],
    ["$SYS/x 1", "must not start with $"],
    [undefined, "a topic is missing"],
    [{ topic: 1 }, "it must be TOPIC VALUE"],
    [{ topic: "home/shared", more: 1 }, "it must be TOPIC VALUE"],
    [["home/shared"], "it must be TOPIC VALUE"],
  ];
  for (const [value] of wrong) await device.event("mqtt", value);
  await until(() => faults.length === wrong.length, { what: () => faults.join("\n") });
  for (const [i, [, why]] of wrong.entries()) assertStringIncludes(faults[i]!, why);
  const lists: [unknown, string[]][] = [
    ["home/shared", ["a list of at most 16 filters"]],
    [Array(17).fill("home/shared"), ["a list of at most 16 filters"]],
    [["home/shared", 5], ["a list of at most 16 filters"]],
    [["#"], ["operator allows"]],
    [["+/shared"], ["operator allows"]], // it would match one below the bridge's prefix
    [["home/a%2Fb/#", "home/a%2Fb/x"], ["in common"]],
    [["$share/a/home/shared", "home/#/x"], ["must not start with $", "# must be the last level"]],
  ];
  for (const [value, whys] of lists) {
    faults.length = 0;
    await device.report("mqtt", value);
    await until(() => faults.length === whys.length, { what: () => `${value}: ${faults}` });
    for (const [i, why] of whys.entries()) assertStringIncludes(faults[i]!, why);
  }
  await device.report("mqtt", ["holdfast/open/x", "home/a%2Fb/#"]);
  await device.event("mqtt", "holdfast/open/x 1");
  await all.peer.shows("holdfast/open/x", "1");
  assertEquals(all.peer.at("holdfast/other/led/set"), []);
  await hears(all, "holdfast/open/x", "home/a%2Fb/#", "home/other/+/x", "home/shared");
  await all.server.forget("other");
  await hears(all, "holdfast/open/x", "home/a%2Fb/#");
});

toolTest("if no topics are allowed, the channel is like any other", TOOLS, async (tools) => {
  await using all = await Bridged.begin(tools.mosquitto);
  const { client, device } = hearing(all.server.port);
  await using _ = client;
  await device.event("mqtt", "home/door open");
  await all.peer.shows("holdfast/kitchen/event/mqtt", "home/door open");
  assertEquals(all.peer.at("home/door"), []);
});

Deno.test("a device's filters are read when it connects, if another server had it at the start or since", async () => {
  const reported = new Map([["kitchen", ["home/a"]], ["hall", ["home/b"]]]);
  const devices = [{ id: "kitchen" }];
  const server = {
    devices,
    thing: (id: string) =>
      Promise.resolve({ id, reported: () => ({ value: reported.get(id) ?? null }) }),
  } as unknown as Server;
  const told: string[] = [];
  const own = new OwnTopics({
    topics: new Topics("holdfast"),
    now: () => 0,
    wantsOthers: () => void told.push([...own.filters].join()),
    warn: (id, code) => void told.push(`${id} ${code}`),
  }, ["home/#"]);
  const happens = async (device: string, event: "connected" | "moved" | "fenced" | "forgotten") => {
    const message = "another server has it";
    if (event === "connected") {
      own.take({ event, device, address: "", dialect: 1, connects: 1 });
    } else if (event === "fenced") {
      own.take({ event: "warning", device, code: "FENCED", message });
    } else own.take({ event, device, message });
    await new Promise((resolve) => setTimeout(resolve));
    return told.splice(0);
  };
  assertEquals(await happens("hall", "connected"), [], "before the start");
  await own.start(server, []);
  assertEquals([...own.filters], ["home/a"]);
  assertEquals(await happens("kitchen", "connected"), [], "it was read at the start");
  assertEquals(await happens("hall", "connected"), ["home/a,home/b"]);
  assertEquals(await happens("hall", "connected"), [], "it was read");
  assertEquals(await happens("cellar", "connected"), [], "it wants nothing");
  // Another server has them for a while: there they report something else.
  reported.set("hall", []);
  assertEquals(await happens("hall", "moved"), []);
  assertEquals(await happens("hall", "connected"), ["home/a"]);
  reported.set("kitchen", ["home/+", "elsewhere"]);
  assertEquals(await happens("kitchen", "fenced"), []);
  assertEquals(await happens("kitchen", "connected"), ["kitchen NOT_ALLOWED", "home/+"]);
  assertEquals(await happens("kitchen", "forgotten"), [""]);
  reported.set("kitchen", ["home/c"]);
  own.take({ event: "connected", device: "kitchen", address: "", dialect: 1, connects: 1 });
  assertEquals(await happens("kitchen", "forgotten"), [], "forgotten before it was read");
  assertEquals([...own.filters], []);
});

Deno.test("a device gives a topic and its value as text or as an object; anything else is refused", () => {
  const retain = false;
  assertEquals(messageIn("a b c"), { topic: "a", payload: "b c", retain });
  assertEquals(messageIn("a"), { topic: "a", payload: "", retain });
  assertEquals(messageIn(5), { topic: "5", payload: "", retain });
  assertEquals(messageIn({ topic: "a b", value: "1" }), { topic: "a b", payload: "1", retain });
  assertEquals(messageIn({ topic: "a", value: [1], retain: true }), {
    topic: "a",
    payload: "[1]",
    retain: true,
  });
  for (const bad of [undefined, "", " a", "a/+ 1", "#", [], {}, { topic: "a", retain: 1 }]) {
    assertEquals(typeof messageIn(bad), "string", JSON.stringify(bad));
  }
});

Deno.test("a message written for a device parses back to the same", () => {
  for (const topic of ["a", "a b", "5", "true", '"', "{}", "é/ü"]) {
    for (const payload of ["", "1", "on", " x ", "a\nb", '{"a":1}', "5 6"]) {
      const text = valueFor(topic, payload);
      assertEquals(/[\n]/.test(text), false);
      const said = JSON.stringify(text);
      const back = messageIn(text.startsWith("{") ? JSON.parse(text) : text);
      if (typeof back === "string") throw new Error(`${said}: ${back}`);
      assertEquals(back.topic, topic, said);
      // A text that a line cannot hold as it is comes as JSON.
      const isJson = back.payload !== payload && JSON.parse(back.payload) === payload;
      assertEquals(back.payload === payload || isJson, true, said);
    }
  }
});

Deno.test("a pattern that is not a filter is refused by name", () => {
  for (const pattern of ["", "a/#/b", "$SYS/#", "a+", "x".repeat(257)]) {
    const options = { hostname: "localhost", ownTopics: [pattern] };
    const error = assertThrows(() => new MqttBridge(options), LocalError, "topics of devices");
    assertEquals(error.code, "BAD_ARGUMENT");
  }
});
