/** Devices in Home Assistant, at a real broker: they appear, change, and disappear with all that was published of them. */
import { assertEquals, assertThrows } from "@std/assert";
import { wrongDiscovery } from "../../tests/support/home_assistant.ts";
import { folder } from "../../tests/support/main_process.ts";
import { Mosquitto, MqttPeer } from "../../tests/support/mosquitto.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { type DescriptionsByName, LocalError, Server, type ServerEvent } from "../../server/mod.ts";
import { Channels, Client } from "../host/mod.ts";
import { type DiscoveryPayload, removes } from "./discovery.ts";
import { MqttBridge, type MqttOptions } from "./mod.ts";

const TOOLS = { mosquitto: "mosquitto" };

const kitchen = {
  name: "Stove",
  channels: {
    temp: { kind: "sensor", unit: "°C", name: "Temperature" },
    heater: { kind: "switch" },
    button: { kind: "event", values: ["pressed"] },
  },
} as const;

const DISCOVERY = "homeassistant/device/holdfast__kitchen/config";

/** A broker, a client there that hears everything, and a folder for a store. */
async function atBroker(mosquitto: string) {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(folder());
  const broker = stack.use(await Mosquitto.start(mosquitto));
  const peer = stack.use(new MqttPeer(broker.port, ["#"]));
  await peer.ready();
  const all = stack.move();
  return {
    store: `${path}/server.db`,
    broker,
    peer,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** A server with a bridge. */
async function serve(
  store: string,
  port: number,
  options: Partial<MqttOptions> = {},
  descriptions: DescriptionsByName = { kitchen },
) {
  await using stack = new AsyncDisposableStack();
  const mqtt = new MqttBridge({ hostname: "127.0.0.1", port, homeAssistant: true, ...options });
  const { observe } = mqtt;
  const server = stack.use(
    await Server.listen({
      port: 0,
      open: true,
      store,
      durability: "normal",
      descriptions,
      observe,
    }),
  );
  stack.use(mqtt);
  const events: ServerEvent[] = [];
  server.events.subscribe((event) => void events.push(event));
  await mqtt.start(server);
  const all = stack.move();
  return { server, mqtt, events, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** A device with a sensor and a switch. */
function plugIn(port: number, { id = "kitchen", version = "1", metadata = "", description }: {
  id?: string;
  version?: string;
  metadata?: string;
  description?: object;
} = {}) {
  const client = new Client({ id, port, ...(metadata !== "" && { metadata }) });
  const device = new Channels(client, {
    app: "kitchen",
    version,
    channels: { heater: { set() {} } },
    ...(description && { description }),
  });
  return { device, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() };
}

/** The last payload of a topic, if there is one. Home Assistant must accept it. */
function discovered(peer: MqttPeer, topic = DISCOVERY): DiscoveryPayload | undefined {
  const payload = peer.at(topic).at(-1);
  if (payload === undefined || payload === "") return undefined;
  assertEquals(wrongDiscovery(topic, payload), []);
  return JSON.parse(payload);
}

/** Home Assistant knows these entities of the device. */
async function shows(peer: MqttPeer, ...entities: string[]): Promise<DiscoveryPayload> {
  const known = () => Object.keys(discovered(peer)?.cmps ?? {}).sort().join();
  const wanted = entities.sort().join();
  await until(() => known() === wanted, { what: () => `${wanted}; there is ${known()}` });
  return discovered(peer)!;
}

/** All that the broker keeps. */
async function retained(port: number): Promise<Map<string, string>> {
  await using peer = new MqttPeer(port, ["#"]);
  await peer.ready();
  peer.publish("marker", "here");
  await peer.shows("marker", "here");
  return new Map(
    peer.arrived.filter(({ isRetained }) => isRetained)
      .map(({ topic, payload }) => [topic, payload]),
  );
}

/** The broker keeps these topics, and no others. */
async function keeps(port: number, ...topics: string[]): Promise<Map<string, string>> {
  let kept = new Map<string, string>();
  const found = () => [...kept.keys()].sort().join("\n");
  await until(async () => (kept = await retained(port), found() === topics.sort().join("\n")), {
    what: () => `${topics}; there are ${found()}`,
  });
  return kept;
}

toolTest(
  "a described device appears, and is used as Home Assistant would",
  TOOLS,
  async ({ mosquitto }) => {
    await using at = await atBroker(mosquitto);
    const { broker, peer } = at;
    await using served = await serve(at.store, broker.port);
    const metadata = "rssi=-61 board=pc";
    await using plugged = plugIn(served.server.port, { metadata });
    const { cmps, dev } = await shows(
      peer,
      "sensor__temp",
      "switch__heater",
      "event__button",
      "sensor___rssi",
      "sensor___started",
    );
    assertEquals([dev.name, dev.mdl, dev.sw], ["kitchen", "Stove", "1"]);
    const { command_topic, payload_on, state_topic } = cmps.switch__heater!;
    peer.publish(String(command_topic), String(payload_on));
    await peer.shows(String(state_topic), "1");
    await plugged.device.report("temp", 21.5);
    await peer.shows(String(cmps.sensor__temp!.state_topic), "21.5");
    await plugged.device.event("button", "pressed");
    await peer.shows(String(cmps.event__button!.state_topic), "pressed");
    const told = JSON.parse(peer.at(String(cmps.sensor___rssi!.state_topic)).at(-1)!);
    assertEquals([told.rssi, told.board, told.ms], [-61, "pc", undefined]);
    await keeps(
      broker.port,
      DISCOVERY,
      ...["status", "kitchen/temp", "kitchen/heater", "kitchen/availability", "kitchen/diagnostics"]
        .map((topic) => `holdfast/${topic}`),
    );
    const warned = served.events.filter(({ event }) => event === "warning");
    assertEquals(warned, []);
  },
);

toolTest(
  "a device is announced again when Home Assistant starts, and when the broker has forgotten it",
  TOOLS,
  async ({ mosquitto }) => {
    await using at = await atBroker(mosquitto);
    const { broker, peer } = at;
    await using served = await serve(at.store, broker.port, { version: 4 });
    await using _ = plugIn(served.server.port);
    await shows(peer, "sensor__temp", "switch__heater", "event__button", "sensor___started");
    const before = peer.at(DISCOVERY).length;
    peer.publish("homeassistant/status", "offline");
    peer.publish("homeassistant/status", "online");
    await until(() => peer.at(DISCOVERY).length > before, { what: "it again" });
    await broker.stop("SIGKILL"); // it has written nothing yet
    await broker.start();
    await keeps(
      broker.port,
      DISCOVERY,
      ...["status", "kitchen/availability", "kitchen/diagnostics"].map((topic) =>
        `holdfast/${topic}`
      ),
    );
    const warned = served.events.flatMap((event) => event.event === "warning" ? [event.code] : []);
    assertEquals(warned, ["BROKER_FORGOT"]);
  },
);

toolTest(
  "another description takes the place of the first, and what is gone is removed",
  TOOLS,
  async ({ mosquitto }) => {
    await using at = await atBroker(mosquitto);
    const { broker, peer } = at;
    const own = ["sensor__temp", "switch__heater", "event__button", "sensor___started"];
    const two = { channels: { temp: { kind: "number" }, heater: { kind: "switch" } } } as const;
    const description = { channels: { heater: { kind: "switch" } } };
    {
      await using served = await serve(at.store, broker.port);
      const { server } = served;
      {
        await using _ = plugIn(server.port, { description });
        await shows(peer, ...own);
        server.setDescriptions({ kitchen: two });
        await shows(peer, "number__temp", "switch__heater", "sensor___started");
        const removing = peer.at(DISCOVERY).find(removes)!;
        const { sensor__temp, event__button } = JSON.parse(removing).cmps;
        assertEquals([sensor__temp, event__button], [{ p: "sensor" }, { p: "event" }]);
        server.setDescriptions({}); // its own counts
        await shows(peer, "switch__heater", "sensor___started");
        server.setDescriptions({ "kitchen@2": kitchen });
      }
      await using _ = plugIn(server.port, { version: "2" });
      await shows(peer, ...own);
    }
    // While the server is stopped its descriptions are changed.
    await using served = await serve(at.store, broker.port, {}, { "kitchen@2": two });
    await shows(peer, "number__temp", "switch__heater", "sensor___started");
    served.server.setDescriptions({});
    await peer.shows(DISCOVERY, "");
    await keeps(
      broker.port,
      ...["status", "kitchen/availability", "kitchen/diagnostics"].map((topic) =>
        `holdfast/${topic}`
      ),
    );
  },
);

toolTest(
  "nothing of a forgotten device stays at the broker; if it comes back, it is new",
  TOOLS,
  async ({ mosquitto }) => {
    await using at = await atBroker(mosquitto);
    const { broker, peer } = at;
    await using served = await serve(at.store, broker.port);
    const { server } = served;
    await using kitchen = plugIn(server.port);
    await using other = plugIn(server.port, { id: "kit/chen+" });
    await kitchen.device.report("temp", 1);
    await other.device.report("temp", 2);
    const [mine, others] = ["kitchen", "kit%2Fchen%2B"].map((id) =>
      ["temp", "availability", "diagnostics"].map((topic) => `holdfast/${id}/${topic}`)
    ) as [string[], string[]];
    const otherDiscovery = "homeassistant/device/holdfast__kit_2Fchen_2B/config";
    await keeps(broker.port, "holdfast/status", DISCOVERY, otherDiscovery, ...mine, ...others);
    await server.forget("kitchen"); // it comes back at once
    await peer.shows("holdfast/kitchen/temp", "");
    // It was not started again, so nobody knows what runs on it.
    await keeps(broker.port, "holdfast/status", otherDiscovery, ...mine.slice(1), ...others);
    await kitchen.device.report("temp", 3);
    await peer.shows("holdfast/kitchen/temp", "3");
    await kitchen[Symbol.asyncDispose]();
    await server.forget("kitchen");
    await keeps(broker.port, "holdfast/status", otherDiscovery, ...others);
  },
);

toolTest(
  "a device forgotten while the broker or the server is down leaves nothing either",
  TOOLS,
  async ({ mosquitto }) => {
    await using at = await atBroker(mosquitto);
    const { broker } = at;
    const ids = ["a", "b", "c"];
    const topicsOf = (id: string) => [
      `homeassistant/device/holdfast__${id}/config`,
      ...["temp", "availability", "diagnostics"].map((topic) => `holdfast/${id}/${topic}`),
    ];
    {
      await using served = await serve(at.store, broker.port);
      const { server, events } = served;
      for (const id of ids) {
        await using plugged = plugIn(server.port, { id });
        await plugged.device.report("temp", 1);
      }
      await keeps(broker.port, "holdfast/status", ...ids.flatMap(topicsOf));
      await broker.stop();
      await until(() => events.some((event) => event.event === "broker" && event.code));
      await server.forget("a");
    }
    {
      await using server = await Server.listen({ port: 0, open: true, store: at.store });
      await server.forget("b");
    }
    await broker.start();
    await using _ = await serve(at.store, broker.port);
    await keeps(broker.port, "holdfast/status", ...topicsOf("c"));
  },
);

toolTest(
  "if the prefix has changed, or Home Assistant was switched off, the old topics are removed",
  TOOLS,
  async ({ mosquitto }) => {
    await using at = await atBroker(mosquitto);
    const { broker } = at;
    const channels = ["temp", "availability", "diagnostics"].map((topic) => `kitchen/${topic}`);
    {
      await using served = await serve(at.store, broker.port);
      await using plugged = plugIn(served.server.port);
      await plugged.device.report("temp", 1);
      await keeps(
        broker.port,
        DISCOVERY,
        ...["status", ...channels].map((topic) => `holdfast/${topic}`),
      );
    }
    {
      const homeAssistant = { prefix: "ha" };
      const options = { prefix: "home/holdfast", homeAssistant };
      await using served = await serve(at.store, broker.port, options);
      await using _ = plugIn(served.server.port);
      await keeps(
        broker.port,
        "ha/device/home_2Fholdfast__kitchen/config",
        ...["status", ...channels].map((topic) => `home/holdfast/${topic}`),
      );
    }
    const options = { prefix: "home", homeAssistant: false };
    await using served = await serve(at.store, broker.port, options);
    await using _ = plugIn(served.server.port);
    await keeps(broker.port, ...["status", ...channels].map((topic) => `home/${topic}`));
  },
);

Deno.test("prefixes that would be mixed up are refused by name", () => {
  const bad: Partial<MqttOptions>[] = [
    { prefix: "homeassistant", homeAssistant: true },
    { prefix: "homeassistant/device", homeAssistant: true },
    { prefix: "a", homeAssistant: { prefix: "a" } },
    { homeAssistant: { prefix: "a/#" } },
    { homeAssistant: { availability: "some" as never } },
  ];
  for (const options of bad) {
    const error = assertThrows(() => new MqttBridge({ hostname: "h", ...options }), LocalError);
    assertEquals(error.code, "BAD_ARGUMENT");
  }
  new MqttBridge({ hostname: "h", prefix: "homeassistant" });
  new MqttBridge({ hostname: "h", prefix: "homeassistants", homeAssistant: true });
});
