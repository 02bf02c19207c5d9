/**
 * The README's example, exactly: two boards with the compiled applications of bridge/mqtt/examples, the server's
 * command line with their descriptions, a broker, and a peer there that acts like Home Assistant.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Board, loadModule } from "../../bridge/host/mod.ts";
import type { Component } from "../../bridge/mqtt/discovery.ts";
import { wrongDiscovery } from "../support/home_assistant.ts";
import { folder, start } from "../support/main_process.ts";
import { Mosquitto, MqttPeer } from "../support/mosquitto.ts";
import { FaultProxy } from "../support/proxy.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";

const ROOT = new URL("../../", import.meta.url);
const EXAMPLES = new URL("bridge/mqtt/examples/", ROOT);
const RELAY = 5;
/** Timeout in ms. */
const TIMEOUT = 500;

/** A board that runs an example, 100 times faster. */
function plugIn(name: string, port: number): Board {
  const application = loadModule(new URL(`client-as/build/${name}.wasm`, ROOT));
  return new Board({ application, id: name, port, timeout: TIMEOUT, speed: 100 });
}

/** The only entity of a device besides diagnostics, as Home Assistant discovers it. */
async function discovered(peer: MqttPeer, id: string): Promise<Component> {
  const topic = `homeassistant/device/holdfast__${id}/config`;
  const payload = await until(() => peer.at(topic).at(-1), { what: topic });
  assertEquals(wrongDiscovery(topic, payload), []);
  const components = Object.values<Component>(JSON.parse(payload).cmps);
  const [entity, ...more] = components.filter((one) => one.entity_category !== "diagnostic");
  assertEquals(more, []);
  return entity!;
}

toolTest(
  "a thermometer and a plug appear in Home Assistant, and keep working through restarts and outages",
  { mosquitto: "mosquitto" },
  async ({ mosquitto }) => {
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(folder());
    const broker = stack.use(await Mosquitto.start(mosquitto));
    const peer = stack.use(new MqttPeer(broker.port, ["#"]));
    const options = ["--open", "--store", `${path}/server.db`, "--timeout", String(TIMEOUT)]
      .concat("--descriptions", new URL("descriptions", EXAMPLES).pathname)
      .concat("--mqtt", `mqtt://127.0.0.1:${broker.port}`, "--mqtt-home-assistant");
    let server = start(...options);
    stack.defer(() => server[Symbol.asyncDispose]());
    const proxy = stack.use(await FaultProxy.start({ target: { port: await server.port() } }));
    const thermometer = stack.use(plugIn("thermometer", proxy.port));
    let plug = plugIn("plug", proxy.port);
    stack.defer(() => plug.close());
    thermometer.analogue = 215;

    const temp = await discovered(peer, "thermometer");
    assertEquals([temp.p, temp.name, temp.device_class, temp.unit_of_measurement], [
      "sensor",
      "Temperature",
      "temperature",
      "°C",
    ]);
    await peer.shows(String(temp.state_topic), "20");
    const power = await discovered(peer, "plug");
    assertEquals([power.p, power.name], ["switch", "Power"]);
    const turn = (how: "on" | "off") =>
      peer.publish(String(power.command_topic), String(power[`payload_${how}`]));
    turn("on");
    await peer.shows(String(power.state_topic), "1");
    assertEquals(plug.pin(RELAY), 1);

    // The plug is away when it is switched, and the server is killed and the broker restarted before it is back.
    proxy.blackhole();
    await until(() => !plug.connected, { what: "the outage to be noticed" });
    turn("off");
    await peer.settled();
    server.kill("SIGKILL");
    await server.ended;
    await broker.stop();
    await broker.start();
    server = start(...options);
    proxy.retarget(await server.port());
    thermometer.analogue = 512;
    proxy.restore({ drop: true });
    await peer.shows(String(power.state_topic), "0");
    assertEquals(plug.pin(RELAY), 0);
    await peer.shows(String(temp.state_topic), "50");

    // After a reset it gets its setting again.
    turn("on");
    await peer.shows(String(power.state_topic), "1");
    await plug.close();
    plug = plugIn("plug", proxy.port);
    await until(() => plug.pin(RELAY) === 1, { what: "the plug to be on again" });
  },
);

Deno.test("the README shows the examples unchanged, and none has more than twelve lines", async () => {
  const readme = await Deno.readTextFile(new URL("bridge/mqtt/README.md", ROOT));
  for (const name of ["thermometer", "plug"]) {
    const source = await Deno.readTextFile(new URL(`${name}.ts`, EXAMPLES));
    const body = source.slice(source.indexOf("export function"));
    assertStringIncludes(readme, body.trim(), name);
    const lines = body.trim().split("\n");
    assert(lines.length <= 12, `${name} has ${lines.length} lines`);
    const json = await Deno.readTextFile(new URL(`descriptions/${name}.json`, EXAMPLES));
    assertStringIncludes(readme, json.trim(), name);
  }
});
