import { assert, assertEquals } from "@std/assert";
import { isFaultless } from "../chaos/account.ts";
import { POSTGRES, withPostgres } from "../support/postgres.ts";
import { toolTest } from "../support/tools.ts";
import { mqttFleet } from "./mqtt.ts";

withPostgres("the MQTT bridge of several servers", (server) => {
  toolTest(
    "the server with the MQTT bridge is killed, paused and stopped: another one takes over, and every message arrives once",
    { mosquitto: "mosquitto", ...POSTGRES },
    async ({ mosquitto }) => {
      const faults = ["kill", "pause", "stop"] as const;
      const result = await mqttFleet(server(), { mosquitto, devices: 6, faults });
      const shown = JSON.stringify(result, undefined, 2);
      assert(isFaultless(result), shown);
      assertEquals([result.up, result.down], [6 * 20 * 4, 6 * 20 * 4], shown);
    },
  );
});
