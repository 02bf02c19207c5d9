/** Brokers that are slow, or do not answer: they are disconnected with a named error, and memory stays bounded. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { AtBroker } from "../../tests/support/at_broker.ts";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { ScriptBroker } from "../../tests/support/script_broker.ts";
import { until } from "../../tests/support/wait.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Platform, Socket } from "../../server/transport/platform.ts";
import { Channels, Client } from "../host/mod.ts";
import type { MqttOptions } from "./mod.ts";

/** A step of the clock, in ms: a small part of the bridge's timeouts. */
const STEP = 500;

/** A server with a bridge, whose time passes when the test says so, and a device. */
async function begin(
  broker: ScriptBroker,
  options: Partial<MqttOptions> = {},
  through = (platform: Platform) => platform,
) {
  await using stack = new AsyncDisposableStack();
  const clock = new ManualClock();
  const platform = through({ ...nodePlatform, now: clock.now, after: clock.after });
  const bridged = stack.use(
    await AtBroker.start({ port: broker.port, version: 4, ...options }, platform),
  );
  const client = stack.use(new Client({ id: "1", port: bridged.server.port }));
  const device = new Channels(client, { app: "a", version: "1", channels: {} });
  const all = stack.move();
  /** Time passes until something is so; what is sent meanwhile takes no time. */
  const passes = (condition: () => boolean) =>
    until(async () => {
      await clock.advance(STEP);
      return condition();
    });
  const silent = async (about: string) => {
    await passes(() => bridged.events.some((one) => one.event === "broker" && one.code));
    assertStringIncludes((await bridged.tells("SILENT")).message!, about);
  };
  const connects = () => passes(() => broker.count("connect") > 0);
  return {
    bridged,
    device,
    passes,
    silent,
    connects,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

Deno.test("a broker that accepts and does not answer CONNECT is disconnected, and tried again", async () => {
  await using broker = new ScriptBroker();
  await using all = await begin(broker);
  await broker.hears("connect");
  await all.silent("CONNECT");
  await all.connects();
  await broker.welcomes(false);
});

Deno.test("a broker that does not answer PINGREQ is disconnected, and tried again", async () => {
  await using broker = new ScriptBroker();
  await using all = await begin(broker);
  await broker.welcomes(false);
  await all.silent("PINGREQ");
  await all.connects();
  await broker.welcomes(true);
});

Deno.test("a broker that does not answer PUBLISH is disconnected, and gets it again", async () => {
  await using broker = new ScriptBroker();
  await using all = await begin(broker);
  await broker.welcomes(false);
  await all.device.event("button", "pressed");
  broker.answersPings = true;
  await all.silent("PUBLISH");
  await all.connects();
  await broker.hears("connect");
  await broker.says({ cmd: "connack", sessionPresent: true, returnCode: 0 });
  await until(async () => {
    const packet = await broker.hears("publish");
    return packet.cmd === "publish" && packet.dup && packet.topic.endsWith("event/button");
  });
});

Deno.test("of what waits for a slow broker, no more than the window is under way", async () => {
  await using broker = new ScriptBroker();
  await using all = await begin(broker, { window: 7 });
  await broker.welcomes(false);
  broker.pauses();
  await Promise.all(Array.from({ length: 100 }, (_, n) => all.device.event("count", n)));
  const rows = await all.bridged.rows("SELECT stage FROM mqtt_out");
  const stages = rows.map(({ stage }) => Number(stage));
  assert(stages.length >= 100, String(stages.length));
  assertEquals(stages.filter((stage) => stage > 0).length, 7);
});

/** Takes from each socket a few bytes at a time, however much is written. */
function slowly(platform: Platform, bytes: number, ms: number): Platform {
  return {
    ...platform,
    connect(options, events) {
      const waiting: number[] = [];
      let [taken, isClosed] = [0, false];
      const socket = platform.connect(options, events);
      const take = () => {
        if (isClosed) return;
        const piece = Uint8Array.from(waiting.splice(0, bytes));
        taken += piece.length;
        socket.write(piece);
        if (waiting.length > 0) platform.after(ms, take);
        else events.drained();
      };
      return new Proxy<Socket>(socket, {
        get(_, name) {
          if (name === "taken") return taken;
          if (name === "close") return () => (isClosed = true, socket.close());
          if (name === "write") {
            return (data: Uint8Array) => {
              if (waiting.length === 0) platform.after(ms, take);
              waiting.push(...data);
              return false;
            };
          }
          const value = Reflect.get(socket, name, socket);
          return typeof value === "function" ? value.bind(socket) : value;
        },
      });
    },
  };
}

Deno.test("a slow link does not count as a silent broker", async () => {
  await using broker = new ScriptBroker();
  // What is under way takes a minute, and a question stands in line behind it.
  await using all = await begin(broker, {}, (platform) => slowly(platform, 100, 3000));
  let isWelcome = false;
  const welcomed = broker.welcomes(false).then(() => isWelcome = true);
  await all.passes(() => isWelcome);
  await welcomed;
  broker.answersPings = true;
  const text = "x".repeat(200);
  await Promise.all(
    Array.from({ length: 20 }, (_, n) => all.device.event("count", `${n} ${text}`)),
  );
  await all.passes(() => broker.count("publish") >= 20);
  const told = all.bridged.events.flatMap((event) => event.event === "broker" ? [event.code] : []);
  assertEquals(told, [undefined]);
});
