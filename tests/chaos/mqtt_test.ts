/** The server killed and a real broker stopped and started, in a short run; `deno task chaos:mqtt` is the long form. */
import { assert, assertEquals } from "@std/assert";
import { toolTest } from "../support/tools.ts";
import { mqttChaos, type MqttChaosResult } from "./mqtt.ts";
import { isFaultless } from "./account.ts";
import { asText } from "./mqtt_main.ts";

for (const version of ["3.1.1", "5"] as const) {
  toolTest(
    `a server that is killed and a broker that is restarted lose and double nothing, over MQTT ${version}`,
    { mosquitto: "mosquitto" },
    async ({ mosquitto }) => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const messages = 600;
      const scale = { messages, devices: 5, kills: 3, restarts: 3, inflight: 65_534 };
      const options = { ...scale, between: "bridge", signal: "SIGTERM" } as const;
      const result = await mqttChaos({ ...options, mosquitto, version, seed, progress: () => {} });
      const how = "deno task chaos:mqtt --messages 600 --devices 5 --kills 3 --restarts 3";
      assert(isFaultless(result), `${how} --mqtt ${version} --seed ${seed}\n${asText(result)}`);
      assertEquals([result.up, result.down], [messages, messages]);
    },
  );
}

toolTest(
  "the package in place of the bridge delivers everything as long as nothing is killed",
  { mosquitto: "mosquitto" },
  async ({ mosquitto }) => {
    const messages = 100;
    const scale = { messages, devices: 2, kills: 0, restarts: 1, inflight: 65_534, seed: 1 };
    const which = { between: "package", version: "5", signal: "SIGTERM" } as const;
    const result = await mqttChaos({ ...scale, ...which, mosquitto, progress: () => {} });
    assert(isFaultless(result), asText(result));
    assertEquals([result.up, result.down], [messages, messages]);
  },
);

Deno.test("findings at the broker are reported, and count as a failure", () => {
  const good: MqttChaosResult = {
    kills: 3,
    restarts: 2,
    up: 10,
    down: 9,
    sent: { up: 10, down: 11 },
    seconds: 12.34,
    faults: { resets: 4, holes: 5, halfOpen: 6 },
    findings: [],
    complaints: [],
  };
  assert(isFaultless(good));
  const text = "10 of 10 up, 9 of 11 down; 3 kills, 2 restarts, 15 faults of the network; " +
    "up: 0 lost, 0 doubled, 0 out of order; down: 0 lost, 0 doubled, 0 out of order; 12.3 s";
  assertEquals(asText(good), text);
  const findings = [{ kind: "doubled", about: "from 1: 1 came again" } as const];
  const bad = { ...good, findings, complaints: ["strange"] };
  assert(!isFaultless({ ...good, findings }));
  assert(!isFaultless({ ...good, complaints: ["strange"] }));
  const lines = asText(bad).split("\n");
  assertEquals(lines, [
    text.replace("0 doubled", "1 doubled"), // the first is of what goes up
    "doubled: from 1: 1 came again",
    "strange",
  ]);
});
