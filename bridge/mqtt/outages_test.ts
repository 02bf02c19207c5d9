/** The server is killed, and the broker stopped and started, while messages go both ways: none is lost, none comes twice. */
import { assertEquals } from "@std/assert";
import { folder, Process, start } from "../../tests/support/main_process.ts";
import { Mosquitto, MqttPeer } from "../../tests/support/mosquitto.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { Channels, Client } from "../host/mod.ts";

const DEVICES = ["a", "b", "c"];
/** Of each device, each way. */
const MESSAGES = 150;
const ROUNDS = 4;
/** In ms. */
const TIMEOUT = 500;

/** Messages of a device, before something is killed. */
const SHARE = MESSAGES / ROUNDS;

/** Once in some runs it fails, and nobody knows why yet: so it is no part of the gate. See README.md. */
const IS_WANTED = Deno.env.get("HOLDFAST_MQTT_OUTAGES") !== undefined;

for (const version of ["3.1.1", "5"]) {
  const name =
    `server killed and broker restarted: nothing lost, nothing twice, over MQTT ${version}`;
  if (!IS_WANTED) {
    const how = "set HOLDFAST_MQTT_OUTAGES to run it, see bridge/mqtt/README.md";
    Deno.test({ name: `${name} [${how}]`, ignore: true, fn() {} });
    continue;
  }
  toolTest(
    name,
    { mosquitto: "mosquitto" },
    async ({ mosquitto }) => {
      await using stack = new AsyncDisposableStack();
      const { path } = stack.use(folder());
      const broker = stack.use(await Mosquitto.start(mosquitto));
      const peer = stack.use(new MqttPeer(broker.port, ["holdfast/+/event/+", "holdfast/+/+"]));
      await peer.ready();
      const options = ["--open", "--store", `${path}/server.db`, "--durability", "normal"]
        .concat("--timeout", String(TIMEOUT), "--mqtt-version", version)
        .concat("--mqtt", `mqtt://127.0.0.1:${broker.port}`);
      let server = start(...options);
      stack.defer(() => server[Symbol.asyncDispose]());
      const proxy = stack.use(await FaultProxy.start({ target: { port: await server.port() } }));
      const logs: Process[] = [];

      const set = new Map(DEVICES.map((id) => [id, [] as string[]]));
      const devices = DEVICES.map((id) => {
        const client = stack.use(new Client({ id, port: proxy.port, timeout: TIMEOUT }));
        const channels = Object.fromEntries(
          Array.from({ length: MESSAGES }, (_, n) => [`c${n}`, {
            set: (value: unknown) => void set.get(id)!.push(`c${n} ${value}`),
          }]),
        );
        return new Channels(client, { app: "counter", version: "1", channels });
      });
      for (const id of DEVICES) await peer.shows(`holdfast/${id}/availability`, "online");

      let least = 0; // nobody is further than this
      const up = devices.map(async (device) => {
        for (let n = 0; n < MESSAGES; n++) {
          await until(() => n < least, { timeout: 60_000 });
          await device.event("count", n);
        }
      });
      for (const sending of up) sending.catch(() => {}); // it is looked at afterwards
      for (let round = 1; round <= ROUNDS; round++) {
        const from = Math.round((round - 1) * SHARE);
        least = Math.round(round * SHARE);
        for (let n = from; n < least; n++) {
          for (const id of DEVICES) peer.publish(`holdfast/${id}/c${n}/set`, String(n));
        }
        // In the middle of them, as far as anybody can say.
        const middle = (from + least) / 2;
        const what = () => `round ${round}: ${server.stderr}`;
        await until(() => peer.at("holdfast/a/event/count").length > middle, {
          timeout: 60_000,
          what,
        });
        if (round % 2 > 0) await broker.stop(); // at once with the server
        server.kill("SIGKILL");
        await server.ended;
        logs.push(server);
        if (round % 2 > 0) await broker.start();
        server = start(...options);
        proxy.retarget(await server.port());
        proxy.reset();
        await broker.stop();
        await broker.start();
      }
      await Promise.all(up);
      await peer.settled();
      const numbers = Array.from({ length: MESSAGES }, (_, n) => String(n));
      for (const id of DEVICES) {
        const [topic, taken] = [`holdfast/${id}/event/count`, set.get(id)!];
        await until(() => peer.at(topic).length >= MESSAGES, { timeout: 60_000 });
        const said = () => [...logs, server].map(({ stderr }) => stderr).join("\n");
        assertEquals(peer.at(topic), numbers, `${id}: ${peer.at(topic)}; ${said()}`);
        const what = () => `${taken.length} settings of ${id}; ${server.stderr}`;
        await until(() => taken.length >= MESSAGES, { timeout: 60_000, what });
        assertEquals(taken.toSorted(), numbers.map((n) => `c${n} ${n}`).sort());
        for (const n of numbers) await peer.shows(`holdfast/${id}/c${n}`, n);
      }
      const warned = [...logs, server].flatMap(({ log }) => log)
        .filter(({ event }) => event === "warning" || event === "app_failed");
      assertEquals(warned, []);
    },
  );
}
