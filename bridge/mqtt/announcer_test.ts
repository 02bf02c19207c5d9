/** What the bridge announces of devices, and removes, without a broker. */
import { assertEquals } from "@std/assert";
import {
  type Description,
  type Device,
  LocalError,
  Server,
  type Transaction,
} from "../../server/mod.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import { folder } from "../../tests/support/main_process.ts";
import { until } from "../../tests/support/wait.ts";
import { Announcer } from "./announcer.ts";
import { keptOf, remember, topicsOf } from "./retained.ts";
import { publish } from "./rows.ts";
import { createTables, type Schema } from "./schema.ts";
import { Topics } from "./topics.ts";
import { type DiscoveryPayload, isNothing } from "./discovery.ts";

/** A server whose devices are made up, and their things: these have no channels unless `thing` says more. */
function viewOf(
  server: Server,
  devices: () => readonly Pick<Device, "id" | "metadata">[],
  { thing = () => ({}), transaction = (use) => server.transaction(use) }: {
    thing?: () => object;
    transaction?: (use: (tx: Transaction) => Promise<void>) => Promise<void>;
  } = {},
): Server {
  return {
    get devices() {
      return devices();
    },
    thing: (id: string) => Promise.resolve({ id, channels: [], ...thing() }),
    events: server.events,
    transaction,
  } as unknown as Server;
}

Deno.test("a device whose topics were cleared while another server had it is announced again", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
  const topics = new Topics("holdfast");
  await server.transaction(async (tx) => {
    await createTables(tx, "x", 5);
    remember(tx, topics.state("kitchen", "temp"), "kitchen");
  });
  const devices: Pick<Device, "id" | "metadata">[] = [];
  const told: string[] = [];
  const { promise: isTakenBack, resolve } = Promise.withResolvers<void>();
  let steps = 0;
  const view = viewOf(server, () => devices, {
    transaction: async (use) => {
      await server.transaction(use);
      steps++;
      resolve();
    },
  });
  const announcer = new Announcer({
    server: view,
    clock: nodePlatform,
    topics,
    isAlone: true,
    put: (_, { topic, payload }) => void told.push(`${topic} ${payload}`),
    restate: (id) => void told.push(`all of ${id}`),
    warn: (code) => void told.push(code),
  }, undefined);
  await isTakenBack;
  const connected = { event: "connected", device: "kitchen", address: "", connects: 1 } as const;
  devices.push({ id: "kitchen", metadata: "fw=1.0" });
  server.events.emit({ ...connected, dialect: 1 });
  server.events.emit({ ...connected, dialect: 1 });
  assertEquals(told.splice(0), ["holdfast/kitchen/temp ", "all of kitchen"]);
  const diagnostics = 'holdfast/kitchen/diagnostics {"fw":"1.0"}';
  await until(() => steps === 2, { what: "the second step" });
  assertEquals(told.splice(0), [diagnostics]);
  const message = "another server has it";
  server.events.emit({ event: "warning", code: "FENCED", device: "kitchen", message });
  server.events.emit({ ...connected, dialect: 1 });
  assertEquals(
    told,
    ["all of kitchen"],
    "its states are published again, although all were announced meanwhile",
  );
  await until(() => steps === 3, { what: "the third step" });
  assertEquals(told.slice(1), [diagnostics]);
  announcer.close();
});

Deno.test("a device forgotten just before the server was killed is back before the restart: values that it has not reported again are removed", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
  const topics = new Topics("holdfast");
  const kept = [
    topics.state("kitchen", "temp"),
    topics.availability("kitchen"),
    topics.diagnostics("kitchen"),
    "homeassistant/device/holdfast__kitchen/config",
  ];
  const stale = [topics.state("kitchen", "led"), topics.state("kitchen", "living/lamp")];
  await server.transaction(async (tx) => {
    await createTables(tx, "x", 5);
    for (const topic of [...kept, ...stale]) remember(tx, topic, "kitchen");
  });
  const thing = {
    channels: ["temp", "led"], // led has a desired value
    reported: (channel: string) => channel === "temp" ? { value: 20 } : undefined,
  };
  const view = viewOf(server, () => [{ id: "kitchen", metadata: "" }], { thing: () => thing });
  const told: string[] = [];
  const announcer = new Announcer(
    {
      server: view,
      clock: nodePlatform,
      topics,
      isAlone: true,
      put: (_, { topic, payload }) => void told.push(`${topic} ${payload}`),
      restate: (id) => void told.push(`all of ${id}`),
      warn: (code) => void told.push(code),
    },
    { prefix: "homeassistant", availability: "none" },
  );
  await until(() => told.includes("all of kitchen"), { what: "the sweep" });
  announcer.close();
  assertEquals(told, [...stale.map((topic) => `${topic} `), "all of kitchen"]);
  await server.transaction(async (tx) => {
    const left = await topicsOf(tx, "kitchen");
    assertEquals(left.map(({ topic }) => topic).sort(), kept.sort());
  });
});

Deno.test("a request to announce all devices again, just as the last announcements end, is carried out", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
  await server.transaction(async (tx) => void await createTables(tx, "x", 5));
  for (let later = 0; later < 8; later++) { // in microtasks
    let told = 0;
    const view = viewOf(server, () => [{ id: "kitchen", metadata: "fw=1.0" }], {
      transaction: async (use) => {
        await server.transaction(use);
        if (told > 1) return;
        void (async () => {
          for (let n = 0; n < later; n++) await undefined;
          announcer.all(true);
        })();
      },
    });
    const announcer = new Announcer({
      server: view,
      clock: nodePlatform,
      topics: new Topics("holdfast"),
      isAlone: true,
      put: (tx) => tx.afterCommit(() => told++),
      restate: () => {},
      warn: () => {},
    }, undefined);
    announcer.all(true);
    await until(() => told === 2, { what: `the second time, ${later} later` });
    announcer.close();
  }
});

Deno.test("a device that is lost, or forgotten, while it is announced is left out, and nothing fails", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
  await server.transaction(async (tx) => void await createTables(tx, "x", 5));
  const metadata = "fw=1.0 reset=power";
  let devices = ["kitchen", "hall", "attic", "roof"].map((id) => ({ id, metadata }));
  const lost = new Map(
    [["kitchen", "FENCED"], ["hall", "UNKNOWN_DEVICE"], ["attic", "FORGOTTEN"]] as const,
  );
  const told: string[] = [];
  const view = viewOf(server, () => devices);
  const announcer = new Announcer({
    server: view,
    clock: nodePlatform,
    topics: new Topics("holdfast"),
    isAlone: false,
    put: (tx, _, device) => {
      const code = lost.get(device as "kitchen");
      devices = code === undefined ? devices : devices.filter(({ id }) => id !== device);
      if (code !== undefined) throw new LocalError(code, "it is not here any more");
      tx.afterCommit(() => told.push(device!));
    },
    restate: () => {},
    warn: (code) => void told.push(code),
  }, undefined);
  announcer.all(true);
  await until(() => told.length > 0);
  assertEquals(told, ["roof"]);
  announcer.close();
});

Deno.test("a forgotten device comes back with fewer channels, before the broker knows that: the missing ones are removed", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
  let schema!: Schema;
  await server.transaction(async (tx) => void (schema = await createTables(tx, "x", 5)));
  const temp = { kind: "sensor" } as const;
  let channels: Description["channels"] = { temp, button: { kind: "event" } };
  let devices = [{ id: "kitchen", metadata: "" }];
  const view = viewOf(server, () => devices, { thing: () => ({ description: { channels } }) });
  const said: string[] = [];
  const announcer = new Announcer(
    {
      server: view,
      clock: nodePlatform,
      topics: new Topics("holdfast"),
      isAlone: true,
      put: (tx, { topic, payload }) => {
        publish(tx, schema, { topic, payload, retain: true }, { since: 0, window: 0 });
        if (topic === CONFIG) said.push(payload);
      },
      restate() {},
      warn: (code, message) => said.push(`${code} ${message}`),
    },
    { prefix: "homeassistant", availability: "none" },
  );
  const CONFIG = "homeassistant/device/holdfast__kitchen/config";
  const next = (count: number) => until(() => said.length >= count, { what: () => `${said}` });
  const components = (payload: string) => {
    const { cmps } = JSON.parse(payload) as DiscoveryPayload;
    return Object.entries(cmps).map(([name, one]) =>
      Object.keys(one).length > 1 ? name : `-${name}`
    );
  };
  const comes = () => {
    devices = [{ id: "kitchen", metadata: "" }];
    server.events.emit({ event: "described", device: "kitchen" });
  };
  const goes = () => {
    devices = [];
    server.events.emit({ event: "forgotten", device: "kitchen", message: "" });
  };
  const isSafe = async (payload: string) => {
    let told = "";
    await server.transaction(async (tx) => void (told = await keptOf(tx, CONFIG)));
    return payload === "" ? isNothing(told) : told === payload;
  };
  const isTaken = async (payload: string) => {
    await until(() => isSafe(payload), { what: "what was said to be safe" });
    await server.transaction((tx) => tx.run(`DELETE FROM mqtt_out WHERE topic = ?`, CONFIG));
    announcer.completed(CONFIG, payload);
  };
  const kept = async () => {
    let rows = 0;
    await server.transaction(async (tx) => void (rows = (await topicsOf(tx, "kitchen")).length));
    return rows;
  };
  comes();
  await next(1);
  assertEquals(components(said[0]!), ["sensor__temp", "event__button"]);
  goes();
  await next(2);
  assertEquals(said[1], "");
  channels = { temp };
  comes();
  await next(said.length + 1);
  assertEquals(components(said.at(-1)!), ["sensor__temp", "-event__button"], "in its place");
  await isTaken(said.at(-1)!);
  await next(said.length + 1);
  assertEquals(components(said.at(-1)!), ["sensor__temp"]);
  goes();
  await next(said.length + 1);
  assertEquals(said.at(-1), "");
  await isTaken("");
  await until(async () => await kept() === 0, { what: () => "nothing of it to be kept" });
  channels = { temp: { kind: "switch" } };
  comes();
  await next(said.length + 1);
  assertEquals(components(said.at(-1)!), ["switch__temp"]);
  announcer.close();
});
