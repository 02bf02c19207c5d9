/**
 * `deno task chaos:mqtt`: kills the real server and stops a real broker under load, a given number of times, and
 * reports what was lost.
 *
 * @module
 */
import { locate } from "../support/tools.ts";
import { type Finding, isFaultless } from "./account.ts";
import { flag, obey, seed, whole, word } from "./arguments.ts";
import { type Between, mqttChaos, type MqttChaosResult, type MqttChaosState } from "./mqtt.ts";

const HELP = `deno task chaos:mqtt [options]

  --mqtt 3.1.1|5|both  the version                                           (both)
  --between WHAT       bridge, or the npm package mqtt, to compare: package  (bridge)
  --runs N             with each version, 1 to 1000                          (1)
  --messages N         device -> subscriber, and as many back, 1 to 1000000  (10000)
  --devices N          1 to 100                                              (10)
  --kills N            how often to kill the server, 0 to 1000               (15)
  --restarts N         how often to stop and start the broker, 0 to 1000     (10)
  --broker-killed      stop the broker with SIGKILL, so that it forgets
  --seed N             of the first run, 0 to 4294967295                     (a random one)
  --inflight N         mosquitto's max_inflight_messages, 0 to 65535         (65534)
  --json               the results as JSON on stdout
  --help               this text

The devices' network fails all the while. Exit code: 0 if every message arrived once, and in order; 1
if not, 2 for wrong options or without mosquitto.`;

/** Interval of progress messages, in ms. */
const OFTEN = 5000;

const OPTIONS = {
  mqtt: word("both", "3.1.1", "5"),
  between: word<Between>("bridge", "package"),
  runs: whole(1, 1000, 1),
  messages: whole(1, 1_000_000, 10_000),
  devices: whole(1, 100, 10),
  kills: whole(0, 1000, 15),
  restarts: whole(0, 1000, 10),
  "broker-killed": flag,
  seed: seed(),
  inflight: whole(0, 65_535, 65_534),
  json: flag,
};

const KINDS: readonly Finding["kind"][] = ["lost", "doubled", "out of order"];

/** The result of a run for people: a line, and the findings. */
export function asText(result: MqttChaosResult): string {
  const { up, down, sent, kills, restarts, faults, findings, complaints, seconds } = result;
  const found = (way: "up" | "down") => {
    const own = findings.filter(({ about }) => about.startsWith("from ") === (way === "up"));
    const counts = KINDS.map((kind) => `${own.filter((one) => one.kind === kind).length} ${kind}`);
    return `${way}: ${counts.join(", ")}`;
  };
  const network = faults.resets + faults.halfOpen + faults.holes;
  const line = [
    `${up} of ${sent.up} up, ${down} of ${sent.down} down`,
    `${kills} kills, ${restarts} restarts, ${network} faults of the network`,
    found("up"),
    found("down"),
    `${seconds.toFixed(1)} s`,
  ].join("; ");
  const details = findings.map(({ kind, about }) => `${kind}: ${about}`).concat(complaints);
  return [line, ...details.slice(0, 50)].join("\n");
}

if (import.meta.main) {
  Deno.exit(
    await obey("chaos:mqtt", HELP, OPTIONS, async (options) => {
      const { mosquitto } = locate({ mosquitto: "mosquitto" }).paths;
      if (mosquitto === undefined) {
        console.error("chaos:mqtt: mosquitto is missing: apt install mosquitto");
        return 2;
      }
      const { mqtt, runs, seed, json, "broker-killed": isKilled, ...rest } = options;
      const scale = { ...rest, signal: isKilled ? "SIGKILL" : "SIGTERM" } as const;
      const versions = mqtt === "both" ? ["3.1.1", "5"] as const : [mqtt];
      const results: (MqttChaosResult & { version: string; seed: number })[] = [];
      for (let run = 0; run < runs; run++) {
        for (const version of versions) {
          const own = (seed + run) % 2 ** 32;
          const name = `chaos:mqtt: ${scale.between}, MQTT ${version}, --seed ${own}`;
          let told = performance.now();
          const progress = ({ kills, restarts, up, down }: MqttChaosState) => {
            if (performance.now() - told < OFTEN) return;
            told = performance.now();
            console.error(`${name}: ${kills} kills, ${restarts} restarts, ${up} up, ${down} down`);
          };
          const result = await mqttChaos({ ...scale, mosquitto, version, seed: own, progress });
          console.error(`${name}: ${asText(result)}`);
          results.push({ version, seed: own, ...result });
        }
      }
      const bad = results.filter((result) => !isFaultless(result));
      if (json) console.log(JSON.stringify(results, undefined, 2));
      console.error(
        bad.length === 0
          ? "chaos:mqtt: every message arrived once, and in order"
          : `chaos:mqtt: FAILED: ${bad.length} of ${results.length} runs`,
      );
      return bad.length === 0 ? 0 : 1;
    }),
  );
}
