/** What the bridge says of devices, and takes back, without a broker. */
import { assertEquals } from "@std/assert";
import { type Device, Server, type Transaction } from "../../server/mod.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import { folder } from "../../tests/support/main_process.ts";
import { Announcer } from "./announcer.ts";
import { createRetained, remember } from "./retained.ts";
import { createTables } from "./rows.ts";
import { Topics } from "./topics.ts";

Deno.test("a device of which topics were taken back while another server had it is told of again", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
  const topics = new Topics("holdfast");
  await server.transaction(async (tx) => {
    await createTables(tx, "x", 5);
    createRetained(tx);
    remember(tx, topics.state("kitchen", "temp"), "kitchen");
  });
  const devices: Pick<Device, "id" | "metadata">[] = [];
  const told: string[] = [];
  const { promise: isTakenBack, resolve } = Promise.withResolvers<void>();
  const view = {
    get devices() {
      return devices;
    },
    thing: () => Promise.resolve({}),
    events: server.events,
    transaction: (use: (tx: Transaction) => Promise<void>) => server.transaction(use).then(resolve),
  };
  const announcer = new Announcer({
    server: view as unknown as Server,
    clock: nodePlatform,
    topics,
    put: (_, topic, payload) => void told.push(`${topic} ${payload}`),
    restate: (id) => void told.push(`all of ${id}`),
    warn: (code) => void told.push(code),
  }, undefined);
  await isTakenBack;
  const connected = { event: "connected", device: "kitchen", address: "", connects: 1 } as const;
  devices.push({ id: "kitchen", metadata: "" });
  server.events.emit({ ...connected, dialect: 1 });
  server.events.emit({ ...connected, dialect: 1 });
  announcer.close();
  assertEquals(told, ["holdfast/kitchen/temp ", "all of kitchen"]);
});
