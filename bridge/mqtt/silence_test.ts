/** Brokers that are slow, or do not answer: they are left by name, and asked for nothing that must be kept in memory. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { AtBroker } from "../../tests/support/at_broker.ts";
import { ScriptBroker } from "../../tests/support/script_broker.ts";
import { until } from "../../tests/support/wait.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Platform, Socket } from "../../server/transport/platform.ts";
import { Channels, Client } from "../host/mod.ts";
import type { MqttOptions } from "./mod.ts";

/** So many times as fast the bridge's time goes: its patience is 10 s and more. */
const HASTE = 50;

const hasty: Platform = {
  ...nodePlatform,
  now: () => nodePlatform.now() * HASTE,
  after: (ms, run) => nodePlatform.after(ms / HASTE, run),
};

/** A server with a bridge, and a device. */
async function begin(broker: ScriptBroker, options: Partial<MqttOptions> = {}, platform = hasty) {
  await using stack = new AsyncDisposableStack();
  const bridged = stack.use(
    await AtBroker.start({ port: broker.port, version: 4, ...options }, platform),
  );
  const client = stack.use(new Client({ id: "1", port: bridged.server.port }));
  const device = new Channels(client, { app: "a", version: "1", channels: {} });
  const all = stack.move();
  const silent = async (about: string) => {
    assertStringIncludes((await bridged.tells("SILENT")).message!, about);
  };
  return { bridged, device, silent, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

Deno.test("a broker that accepts and does not answer CONNECT is left, and tried again", async () => {
  await using broker = new ScriptBroker();
  await using all = await begin(broker);
  await broker.hears("connect");
  await all.silent("CONNECT");
  await broker.welcomes(false);
});

Deno.test("a broker that does not answer PINGREQ is left, and tried again", async () => {
  await using broker = new ScriptBroker();
  await using all = await begin(broker);
  await broker.welcomes(false);
  await all.silent("PINGREQ");
  await broker.welcomes(true);
});

Deno.test("a broker that does not answer PUBLISH is left, and sent it again", async () => {
  await using broker = new ScriptBroker();
  await using all = await begin(broker);
  await broker.welcomes(false);
  await all.device.event("button", "pressed");
  broker.answersPings = true;
  await all.silent("PUBLISH");
  await broker.hears("connect");
  await broker.says({ cmd: "connack", sessionPresent: true, returnCode: 0 });
  await until(async () => {
    const packet = await broker.hears("publish");
    return packet.cmd === "publish" && packet.dup && packet.topic.endsWith("event/button");
  });
});

Deno.test("of what waits for a slow broker no more is under way than the window", async () => {
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

Deno.test("a slow link is no silent broker", async () => {
  await using broker = new ScriptBroker();
  // What is under way takes a minute, and a question stands in line behind it.
  await using all = await begin(broker, {}, slowly(hasty, 100, 3000));
  await broker.welcomes(false);
  broker.answersPings = true;
  const text = "x".repeat(200);
  await Promise.all(
    Array.from({ length: 20 }, (_, n) => all.device.event("count", `${n} ${text}`)),
  );
  await until(() => broker.count("publish") >= 20, { timeout: 20_000 });
  const told = all.bridged.events.flatMap((event) => event.event === "broker" ? [event.code] : []);
  assertEquals(told, [undefined]);
});
