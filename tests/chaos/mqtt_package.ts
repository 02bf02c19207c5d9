/**
 * A server whose devices reach a broker by the npm package `mqtt`, as one would write it without the bridge: QoS 2 both
 * ways, a session that the broker keeps, and no message done before the other side has it. The package's own state is
 * in memory, which is its default. It takes the options of `server/main.ts`, as far as `mqttChaos` uses them.
 *
 * @module
 */
import mqtt from "mqtt";
import { Server, type Value } from "../../server/mod.ts";
import { parse, toServerOptions } from "../../server/cli/options.ts";
import { textOf } from "../../server/protocol/channel_lines.ts";

const values = parse(Deno.args);

const client = mqtt.connect(values.mqtt!, {
  clientId: "holdfast",
  clean: false,
  protocolVersion: values["mqtt-version"] === "3.1.1" ? 4 : 5,
  reconnectPeriod: 1000,
  ...(values["mqtt-version"] === "5" && { properties: { sessionExpiryInterval: 0xffffffff } }),
});

/** Resolves when the broker has confirmed it; after an error the device's message comes again. */
async function publish(topic: string, value: Value | undefined, retain: boolean): Promise<void> {
  const payload = value === undefined ? "" : textOf(value);
  await client.publishAsync(`holdfast/${topic}`, payload, { qos: 2, retain });
}

const server = await Server.listen({
  ...await toServerOptions(values, console.error),
  observe: {
    report: (value, { thing, channel }) => publish(`${thing.id}/${channel}`, value, true),
    event: (value, { thing, channel }) => publish(`${thing.id}/event/${channel}`, value, false),
  },
});
server.events.subscribe((event) => {
  if (event.event !== "connected") return;
  publish(`${event.device}/availability`, "online", true).catch(complain);
});

function complain(error: Error): void {
  console.error(JSON.stringify({ event: "warning", code: "MQTT", message: error.message }));
}

// PUBCOMP is sent when the setting is safe.
client.handleMessage = ({ topic, payload }, done) => {
  const [, id = "", channel = ""] = topic.split("/");
  const set = async () => await (await server.thing(id)).set(channel, payload.toString());
  set().catch(complain).then(() => done());
};
// The connection was lost, and is re-established.
client.on("error", () => {});
client.on("connect", () => {
  client.subscribeAsync("holdfast/+/+/set", { qos: 2 }).catch(() => {});
});
