/** Metrics for Prometheus: names, numbers, bounded labels, escaped ids; and promtool's verdict. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Scene } from "../../tests/support/scene.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { type ApiOptions, apiRouter } from "./api_routes.ts";

const BRIDGE = {
  connectedSince: new Date(),
  connects: 2,
  waiting: { rows: 3, bytes: 300, since: new Date(Date.now() - 60_000) },
  inFlight: 1,
  published: 40,
  received: 5,
  givenUp: 6,
};

/** A server, and its metrics by name and labels. */
async function begin(options: ApiOptions = {}) {
  const scene = await Scene.start();
  const stop = new AbortController();
  const router = apiRouter(scene.server, stop.signal, options);
  const text = async () => {
    const request = new Request("http://localhost/metrics");
    return await (await router.answer(request, { may: "look", address: undefined })).text();
  };
  const values = async () => {
    const lines = (await text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at).replace(/^holdfast_/, ""), Number(line.slice(at + 1))];
    }));
  };
  return {
    ...{ scene, text, values },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await scene[Symbol.asyncDispose]();
    },
  };
}

Deno.test("events are counted, and forgetting a device does not lower the totals", async () => {
  await using place = await begin();
  const { scene, values } = place;
  const [device, peer] = await scene.device("1");
  await scene.device("2");
  await peer.say("00one\n01two\n");
  await until(() => device.inbox === 2);
  const stranger = await scene.dial("\x01\n");
  await until(() => stranger.ended);
  const { code } = await scene.logs("refused");
  let now = await values();
  for (
    const [name, value] of [
      ["devices", 2],
      ["devices_connected", 2],
      ["inbox_messages", 2],
      ["outbox_messages", 0],
      ["messages_received_total", 2],
      ["messages_processed_total", 0],
      ["connections_total", 2],
      [`refusals_total{code="${code}"}`, 1],
      ["devices_forgotten_total", 0],
      ["store_failing", 0],
      ["store_waiting", 0],
    ] as const
  ) assertEquals([name, now.get(name)], [name, value]);
  await scene.server.forget("1");
  now = await values();
  assertEquals([now.get("devices"), now.get("inbox_messages")], [1, 0]);
  assertEquals(now.get("messages_received_total"), 2);
  assertEquals(now.get("devices_forgotten_total"), 1);
  assert(now.get("resident_memory_bytes")! > 1e6);
  assert(Math.abs(now.get("start_time_seconds")! - Date.now() / 1000) < 3600);
});

Deno.test("labels are bounded: devices have none by default, and surplus codes are counted as OTHER", async () => {
  await using place = await begin();
  const { scene, text } = place;
  await scene.device("secret");
  for (let n = 0; n < 1000; n++) {
    scene.server.events.emit({ event: "warning", code: `CODE_${n}`, message: "" });
  }
  const said = await text();
  assert(!said.includes("secret"));
  const codes = said.split("\n").filter((line) => line.startsWith("holdfast_warnings_total{"));
  assert(codes.length <= 65, `${codes.length} codes`);
  assertMatch(said, /holdfast_warnings_total\{code="OTHER"\} 9\d\d/);
});

Deno.test("a device's id is escaped in its label and cannot change the rest of the line", async () => {
  await using place = await begin({ eachDevice: true });
  const id = '"} 1 \\n # HELP é';
  await place.scene.device(id);
  const line = (await place.text()).split("\n")
    .filter((line) => line.startsWith("holdfast_device_connected{"));
  assertEquals(line, [`holdfast_device_connected{device="\\"} 1 \\\\n # HELP é"} 1`]);
});

Deno.test("metrics include the bridge only if there is one", async () => {
  await using none = await begin();
  assert(!(await none.text()).includes("mqtt"));
  await using place = await begin({ bridge: () => BRIDGE });
  const now = await place.values();
  assertEquals(now.get("mqtt_connected"), 1);
  assertEquals(now.get("mqtt_published_total"), 40);
  assertEquals(now.get("mqtt_waiting_bytes"), 300);
  assert(Math.abs(now.get("mqtt_waiting_age_seconds")! - 60) < 30);
});

toolTest(
  "promtool accepts the metrics without a complaint",
  { promtool: "prometheus" },
  async ({ promtool }) => {
    await using place = await begin({ eachDevice: true, bridge: () => BRIDGE });
    await place.scene.device("1");
    place.scene.server.events.emit({ event: "warning", code: "CODE", message: "" });
    const child = new Deno.Command(promtool, {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(await place.text()));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals([code, said], [0, ""]);
  },
);
