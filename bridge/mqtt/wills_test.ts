/** A device's welcome and will, at a real broker. */
import { assertEquals } from "@std/assert";
import { type HandlerContext, Server, type Transaction } from "../../server/mod.ts";
import { Bridged } from "../../tests/support/bridged.ts";
import { folder } from "../../tests/support/main_process.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { Channels, Client } from "../host/mod.ts";
import type { OwnTopics } from "./own_topics.ts";
import { createTables, type Schema } from "./schema.ts";
import { Wills } from "./wills.ts";

const TOOLS = { mosquitto: "mosquitto" };

/** A device that says what is to be published for it. */
function willing(port: number, metadata?: string, id = "kitchen") {
  const client = new Client({ id, port, ...(metadata !== undefined && { metadata }) });
  const faults: string[] = [];
  const onError = (error: unknown) => void faults.push(String((error as Error).message));
  return { client, device: new Channels(client, { app: "a", version: "1", onError }), faults };
}

toolTest(
  "a welcome and a will are published once for each change, also through a restart",
  TOOLS,
  async (tools) => {
    await using all = await Bridged.begin(tools.mosquitto, {
      ownTopics: ["home/#"],
      offlineAfter: 50,
    });
    const { peer } = all;
    const availability = "holdfast/kitchen/availability";
    const said = () =>
      peer.arrived.filter(({ topic }) => topic.startsWith("home/"))
        .map(({ topic, payload }) => `${topic} ${payload}`);
    {
      const { client, device } = willing(all.server.port);
      await using _ = client;
      await device.report("mqtt/will", "home/kitchen gone");
      await device.report("mqtt/welcome", { topic: "home/kitchen", value: "here" });
      await peer.shows("home/kitchen", "here"); // it was online already when it first reported that
    }
    await peer.shows("home/kitchen", "gone");
    {
      const { client, device } = willing(all.server.port);
      await using _ = client;
      await peer.shows("home/kitchen", "here");
      await device.report("mqtt/welcome", { topic: "home/kitchen", value: "here" }); // as with each start
      await all.stop();
      await all.start({ offlineAfter: 60_000 }); // it comes back in time: nothing has changed
      await peer.shows("holdfast/status", "online");
      await until(async () => (await all.server.device("kitchen")).connected);
      await device.report("temp", 1);
      await peer.shows("holdfast/kitchen/temp", "1");
      await all.stop();
    }
    await all.start({ offlineAfter: 50 }); // it has gone meanwhile
    await peer.shows("home/kitchen", "gone");
    await peer.shows(availability, "offline");
    await all.stop();
    await all.start();
    await peer.shows(availability, "offline");
    const here = "home/kitchen here", gone = "home/kitchen gone";
    assertEquals(said(), [here, gone, here, gone]);
    assertEquals(all.warned, []);
    await all.server.forget("kitchen");
    await all.server.transaction(() => {}); // after the transactions that this has caused
    let rows: unknown;
    await all.server.transaction(async (tx) =>
      void (rows = await tx.all("SELECT * FROM mqtt_devices"))
    );
    assertEquals(rows, []);
    assertEquals(said().length, 4);
  },
);

toolTest(
  "the will of a sleeping device is not published; a device is told what it may not publish",
  TOOLS,
  async (tools) => {
    const options = { ownTopics: ["home/#"], offlineAfter: 30 };
    await using all = await Bridged.begin(tools.mosquitto, options);
    const { peer } = all;
    const availability = "holdfast/kitchen/availability";
    for (let n = 0; n < 2; n++) {
      const { client, device, faults } = willing(all.server.port, "sleep=1");
      await using _ = client;
      await peer.shows(availability, "online");
      await device.report("mqtt/welcome", "other/kitchen here");
      await device.report("mqtt/welcome", "home/# here");
      await until(() => faults.length === 2, { what: () => faults.join() });
      await device.report("mqtt/will", "home/kitchen gone");
      await client.close();
      await peer.shows(availability, "sleeping");
      if (n === 0) assertEquals(peer.at("home/kitchen"), []);
    }
    await peer.shows(availability, "offline");
    await peer.shows("home/kitchen", "gone");
    assertEquals(peer.at(availability), ["online", "sleeping", "online", "sleeping", "offline"]);
    assertEquals([peer.at("home/kitchen"), peer.at("other/kitchen")], [["gone"], []]);
    {
      const { client } = willing(all.server.port, undefined, "cellar");
      await using _ = client;
      await peer.shows("holdfast/cellar/availability", "online");
      await all.stop();
    }
    // The next process knows that one has gone, and waits for the other one only.
    await all.start({ offlineAfter: { kitchen: 0, cellar: 50 } });
    await peer.shows("holdfast/cellar/availability", "offline");
    assertEquals(new Set(peer.at(availability).slice(5)), new Set(["offline"]));
    assertEquals(peer.at("home/kitchen"), ["gone"]);
  },
);

Deno.test("a welcome or a will counts once the report of it is safe, not before", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, store });
  const said = (value: unknown) => ({ topic: "home", payload: String(value), retain: false });
  const own = { isOn: true, message: said, allowed: (_: string, value: unknown) => said(value) };
  let schema!: Schema;
  const wills = new Wills({
    own: own as unknown as OwnTopics,
    date: () => 5,
    tell: (tx, ...told) => tx.run(schema.tellDevice, ...told),
    forget: (tx, id) => tx.run(schema.forgetDevice, id),
    added() {},
  });
  const commit = (use: (tx: Transaction) => Promise<void> | void) => server.transaction(use);
  await commit(async (tx) => void (schema = await createTables(tx, "x", 5)));
  /** The device reports a value, and its state changes before that is safe. */
  const says = async (channel: string, value: string, ...meanwhile: ("online" | "offline")[]) => {
    const changed = Promise.withResolvers<void>();
    const report = commit(async (tx) => {
      wills.report(value, { thing: { id: "kitchen" }, channel, tx } as HandlerContext);
      await changed.promise;
    });
    for (const state of meanwhile) await commit((tx) => wills.changed(tx, "kitchen", state, 0));
    changed.resolve();
    await report;
  };
  const news = async () => {
    let rows: unknown[] = [];
    await commit(async (tx) => {
      rows = (await tx.all("SELECT payload FROM mqtt_out")).map(({ payload }) => payload);
      tx.run("DELETE FROM mqtt_out");
    });
    return rows;
  };
  await says("mqtt/will", "gone");
  await says("mqtt/welcome", "here", "online");
  assertEquals(await news(), ["here"]);
  await commit((tx) => wills.forget(tx, "kitchen"));
  await commit((tx) => wills.changed(tx, "kitchen", "online", 0));
  await says("mqtt/welcome", "here", "offline");
  assertEquals(await news(), []);
  await says("mqtt/will", "gone", "online", "offline");
  assertEquals(await news(), ["here"]);
});
