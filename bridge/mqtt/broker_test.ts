/** The bridge at a made-up broker, which does what a real one cannot be made to do. */
import type { Buffer } from "node:buffer";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { ScriptBroker } from "../../tests/support/script_broker.ts";
import { until } from "../../tests/support/wait.ts";
import { FencedError, LocalError, Server, type ServerEvent } from "../../server/mod.ts";
import type { Collector } from "../../server/store/transaction.ts";
import { Client } from "../host/mod.ts";
import type { Packet } from "./codec.ts";
import { MqttBridge, type MqttOptions } from "./mod.ts";

/** A server with a bridge, on a store. */
async function serve(
  broker: ScriptBroker,
  path: string,
  seenBy: (server: Server) => Pick<Server, "transaction"> = (server) => server,
  more: Partial<MqttOptions> = {},
) {
  await using stack = new AsyncDisposableStack();
  const { port } = broker;
  const mqtt = new MqttBridge({ hostname: "127.0.0.1", port, version: 4, ...more });
  const options = { port: 0, hostname: "127.0.0.1", open: true, durability: "normal" } as const;
  const store = `${path}/server.db`;
  const server = stack.use(await Server.listen({ ...options, store, observe: mqtt.observe }));
  stack.use(mqtt);
  const events: ServerEvent[] = [];
  server.events.subscribe((event) => void events.push(event));
  const transaction: Server["transaction"] = (use) => seenBy(server).transaction(use);
  const seen = new Proxy(server, {
    get: (_, name) => {
      const value = name === "transaction" ? transaction : Reflect.get(server, name, server);
      return typeof value === "function" ? value.bind(server) : value;
    },
  });
  await mqtt.start(seen);
  const all = stack.move();
  return { server, mqtt, events, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

const setting = {
  cmd: "publish",
  topic: "holdfast/1/led/set",
  retain: false,
  messageId: 7,
} as const;

Deno.test("a message that the broker repeats after a restart is not carried out again", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  {
    await using first = await serve(broker, dir.path);
    await broker.welcomes(false);
    await using client = new Client({ id: "1", port: first.server.port });
    await client.ready();
    await broker.says({ ...setting, payload: "1", qos: 2, dup: false });
    assertEquals((await broker.hears("pubrec")).messageId, 7);
    const thing = await first.server.thing("1");
    assertEquals(thing.desired("led")?.value, 1);
    await thing.set("led", 2); // somebody else sets another value
  }
  {
    await using second = await serve(broker, dir.path);
    await broker.welcomes(true);
    await broker.says({ ...setting, payload: "1", qos: 2, dup: true });
    assertEquals((await broker.hears("pubrec")).messageId, 7);
    const thing = await second.server.thing("1");
    assertEquals(thing.desired("led")?.value, 2);
    await broker.says({ cmd: "pubrel", messageId: 7 });
    await broker.hears("pubcomp");
    await broker.says({ ...setting, payload: "3", qos: 2, dup: false }); // another one
    await broker.hears("pubrec");
    assertEquals(thing.desired("led")?.value, 3);
  }
});

Deno.test("every protocol error of the broker is named, and the bridge reconnects", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  await using all = await serve(broker, dir.path);
  const wrongs: [string, () => Promise<void> | void][] = [
    ["MALFORMED", () => broker.gives(Uint8Array.of(0x36, 0))],
    ["UNEXPECTED", () => broker.says({ cmd: "puback", messageId: 1 })],
    ["TOO_LARGE", () => broker.gives(Uint8Array.of(0x90, 0xff, 0xff, 0xff, 0x7f))],
    ["LOST", () => broker.leaves()],
  ];
  for (const [code, act] of wrongs) {
    await broker.welcomes(false);
    await act();
    const told = () => all.events.some((event) => event.event === "broker" && event.code === code);
    await until(told, { what: () => `${code} in ${JSON.stringify(all.events)}` });
  }
  await broker.welcomes(false);
});

Deno.test("a broker that had the session and lost it is reported to have forgotten it", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  await using all = await serve(broker, dir.path);
  const forgot = () =>
    all.events.filter((it) => "code" in it && it.code === "BROKER_FORGOT").length;
  await broker.welcomes(true); // the CONNACK without it was lost
  assertEquals(forgot(), 0);
  broker.leaves();
  await broker.welcomes(false);
  await until(() => forgot() === 1, { what: "the warning" });
});

Deno.test("a bridge that was closed reports nothing more", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let holds = false;
  let held: Promise<void> | undefined;
  await using all = await serve(broker, dir.path, (server) => ({
    transaction(use) {
      const done = server.transaction(use);
      if (!holds) return done;
      begun.resolve();
      return held = done.then(() => gate.promise);
    },
  }));
  await broker.hears("connect");
  holds = true;
  await broker.says({ cmd: "connack", sessionPresent: false, returnCode: 0 });
  await begun.promise;
  all.mqtt.close();
  gate.resolve();
  await held;
  assertEquals(all.events.filter(({ event }) => event === "broker"), []);
});

Deno.test("what a device says once the bridge is closed is stored for the next bridge, and nothing fails", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  {
    await using all = await serve(broker, dir.path);
    await broker.welcomes(false);
    await using client = new Client({ id: "1", port: all.server.port });
    await client.ready();
    all.mqtt.close(); // the server goes on until its devices have left
    await client.write("!door open");
    const device = await all.server.device("1");
    await until(() => device.counts.processed === 1, { what: "the message to be processed" });
    assertEquals(all.events.filter(({ event }) => event === "app_failed"), []);
  }
  await using _next = await serve(broker, dir.path);
  await broker.welcomes(false);
  for (let topic = ""; topic !== "holdfast/1/event/door";) {
    topic = String((await broker.hears("publish")).topic);
  }
});

Deno.test("a message that waits for room when the bridge is closed waits for the next bridge", async () => {
  using dir = folder();
  await using broker = new ScriptBroker(); // answers nothing
  await using all = await serve(broker, dir.path, undefined, { mostRows: 1 });
  await using client = new Client({ id: "1", port: all.server.port });
  await client.ready();
  for (const line of ["!door open", "!door closed"]) await client.write(line);
  const full = () => all.events.some((one) => "code" in one && one.code === "BROKER_BEHIND");
  await until(full, { what: "the queue to be full" });
  all.mqtt.close();
  await all.server.drain();
  await all.server.close();
  await using next = await serve(broker, dir.path);
  const device = await next.server.device("1");
  assert(device.inbox > 0);
  await using _again = new Client({ id: "1", port: next.server.port });
  await until(() => device.inbox === 0, { what: "the messages to be processed" });
});

Deno.test("a bridge that is closed while it starts, as the store fails, never connects", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  const mqtt = new MqttBridge({ hostname: "127.0.0.1", port: broker.port, version: 4 });
  const options = { port: 0, hostname: "127.0.0.1", open: true, observe: mqtt.observe } as const;
  await using server = await Server.listen({ ...options, store: `${dir.path}/server.db` });
  const works = Promise.withResolvers<void>();
  const failing = new Proxy(server, {
    get: (_, name) => {
      const value = Reflect.get(server, name, server);
      if (name !== "transaction") return typeof value === "function" ? value.bind(server) : value;
      return async (use: Parameters<typeof server.transaction>[0]) => {
        await works.promise;
        await server.transaction(use);
      };
    },
  });
  const started = mqtt.start(failing);
  mqtt.close();
  works.resolve();
  assertEquals((await assertRejects(() => started, LocalError)).code, "CLOSED");
  assertEquals(mqtt.state.connects, 0);
  assertEquals(broker.count("connect"), 0);
});

Deno.test("changed subscriptions of devices do not stop a bridge from reconnecting", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  let fails = false;
  const seenBy = (server: Server): Pick<Server, "transaction"> => ({
    transaction: (use) => fails ? Promise.reject(new Error("no")) : server.transaction(use),
  });
  await using all = await serve(broker, dir.path, seenBy, { ownTopics: ["home/#"] });
  await broker.welcomes(false);
  await using client = new Client({ id: "1", port: all.server.port });
  await client.ready();
  await broker.hears("publish"); // it is there
  fails = true;
  await broker.says({ ...setting, payload: "1", qos: 2, dup: false });
  const warned = () => all.events.some((one) => "code" in one && one.code === "MQTT_FAILED");
  await until(warned, { what: "the warning" });
  fails = false;
  await client.write(`=mqtt ["home/a"]`);
  const thing = await all.server.thing("1");
  await until(() => thing.reported("mqtt"), { what: "the report" });
  await broker.hears("connect");
});

/** A server that knows a device's report, and has ended. */
async function reports(broker: ScriptBroker, path: string): Promise<void> {
  await using first = await serve(broker, path);
  await broker.welcomes(false);
  await using client = new Client({ id: "1", port: first.server.port });
  await client.write("=temp 1");
  const temp = async () => (await first.server.thing("1")).reported("temp");
  await until(temp, { what: "a report" });
}

Deno.test("the topics of a device that is forgotten while the bridge starts, and comes back, are cleared", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  await reports(broker, dir.path);
  const gate = Promise.withResolvers<void>();
  const server = Promise.withResolvers<Server>();
  const starting = serve(broker, dir.path, (own) => {
    server.resolve(own);
    return {
      transaction: async (use) => {
        await gate.promise;
        await own.transaction(use);
      },
    };
  });
  const own = await server.promise;
  await own.forget("1");
  await using client = new Client({ id: "1", port: own.port });
  await client.write("=led 1"); // the server knows it again
  gate.resolve();
  await using _all = await starting;
  await broker.welcomes(true);
  await until(async () => {
    const { topic, payload } = await broker.hears("publish");
    return topic === "holdfast/1/temp" && payload.length === 0;
  }, { what: "an empty payload for the topic" });
});

Deno.test("of messages that come at once, an impossible one harms no other", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  await using all = await serve(broker, dir.path);
  await broker.welcomes(false);
  await using client = new Client({ id: "1", port: all.server.port });
  await client.ready();
  const thing = await all.server.thing("1");
  const channels = Array.from({ length: 300 }, (_, n) => `c${n}`); // a device has 256 at most
  await Promise.all(channels.map((channel, n) =>
    broker.says({
      ...setting,
      topic: `holdfast/1/${channel}/set`,
      messageId: n + 1,
      payload: "1",
      qos: 2,
      dup: false,
    })
  ));
  for (const _ of channels) await broker.hears("pubrec");
  assertEquals(thing.channels.length, 256);
  const warned = all.events.flatMap((event) => event.event === "warning" ? [event.code] : []);
  assertEquals(warned, Array(300 - 256).fill("BAD_VALUE"));
});

Deno.test("a message for several devices comes to all but those that are forgotten just then", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  const forgets = ["1", "2"]; // each in the commit in which it would be told
  const seenBy = (server: Server): Pick<Server, "transaction"> => ({
    transaction: (use) =>
      server.transaction(async (tx) => {
        await use(tx);
        if ((tx as Collector).operations.length > 0 && forgets.length > 0) {
          void server.forget(forgets.shift()!);
        }
      }),
  });
  await using all = await serve(broker, dir.path, seenBy, { ownTopics: ["home/#"] });
  await broker.welcomes(false);
  await using clients = new AsyncDisposableStack();
  for (const id of ["1", "2", "3"]) {
    const client = clients.use(new Client({ id, port: all.server.port }));
    await client.write(`=mqtt ["home/hall"]`);
    const thing = await all.server.thing(id);
    await until(() => thing.reported("mqtt"), { what: "the report" });
  }
  const device = await all.server.device("3");
  await broker.grants();
  await broker.says({ ...setting, topic: "home/hall", payload: "1", qos: 2, dup: false });
  await broker.hears("pubrec");
  assertEquals([forgets, device.counts.written], [[], 1]);
});

Deno.test("a command for a device whose queue is full, and that moves to another server meanwhile, is not lost", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  const isFull = () => Object.assign(new LocalError("OUTBOX_FULL", "full"), { device: "1" });
  const errors = [isFull(), isFull(), new FencedError("1"), new FencedError("1")];
  const seenBy = (server: Server): Pick<Server, "transaction"> => ({
    transaction: (use) =>
      server.transaction(async (tx) => {
        await use(tx);
        const error = (tx as Collector).operations.length > 0 && errors.shift();
        if (error) throw error;
      }),
  });
  await using all = await serve(broker, dir.path, seenBy);
  await broker.welcomes(false);
  await using client = new Client({ id: "1", port: all.server.port });
  await client.ready();
  const device = await all.server.device("1");
  await broker.says({
    ...setting,
    topic: "holdfast/1/do/door",
    payload: "open",
    qos: 2,
    dup: false,
  });
  await broker.hears("pubrec");
  const warnings = all.events.filter(({ event }) => event === "warning");
  assertEquals([errors, warnings, device.counts.written], [[], [], 1]);
});

Deno.test("a report that comes while all states are announced is not overwritten by an older one", async () => {
  using dir = folder();
  await using broker = new ScriptBroker();
  await reports(broker, dir.path);
  const gate = Promise.withResolvers<void>();
  let announcing = false;
  await using second = await serve(broker, dir.path, (server) => ({
    transaction: (use) =>
      server.transaction(async (tx) => {
        await use(tx);
        if (announcing) await gate.promise;
      }),
  }));
  await broker.hears("connect");
  announcing = true;
  await broker.says({ cmd: "connack", sessionPresent: true, returnCode: 0 });
  await using client = new Client({ id: "1", port: second.server.port });
  await client.write("=temp 2");
  const thing = await second.server.thing("1");
  await until(() => thing.reported("temp")?.value === 2, { what: "the newer report" });
  gate.resolve();
  await broker.grants();
  const rows = async () => {
    let found: string[] = [];
    await second.server.transaction(async (tx) => {
      const sql = "SELECT payload FROM mqtt_out WHERE topic = 'holdfast/1/temp' ORDER BY seq";
      found = (await tx.all(sql)).map(({ payload }) => String(payload));
    });
    return found;
  };
  let last: string[] = [];
  await until(async () => (last = await rows()).at(-1) === "2", {
    what: () => `2 after ${last}`,
    timeout: 5000,
  });
});

for (const [stage, how] of [[0, "waiting"], [1, "marked as sent"]] as const) {
  Deno.test(`a publication whose packet id is in use is sent when the other one is done: both are ${how} in the store`, async () => {
    using dir = folder();
    await using broker = new ScriptBroker();
    const ids = 65_534;
    {
      await using first = await serve(broker, dir.path);
      await first.server.transaction((tx) => {
        const add =
          "INSERT INTO mqtt_out (seq, topic, payload, retain, stage) VALUES (?, 't', ?, 0, ?)";
        tx.run(add, 1, "stuck", stage); // so it is read together with the others, or was before
        tx.run(add, ids, "last id", stage);
        tx.run(add, 1 + ids, "same id", stage);
      });
    }
    await using _second = await serve(broker, dir.path);
    await broker.welcomes(true);
    const heard = async () => {
      const { messageId, payload } = await broker.hears("publish") as Packet & { payload: Buffer };
      return [messageId, payload.toString()];
    };
    assertEquals(await heard(), [1, "stuck"]);
    assertEquals(await heard(), [ids, "last id"]);
    for (const messageId of [ids, 1]) {
      await broker.says({ cmd: "pubrec", messageId });
      await broker.hears("pubrel");
      await broker.says({ cmd: "pubcomp", messageId });
    }
    assertEquals(await heard(), [1, "same id"]);
  });
}
