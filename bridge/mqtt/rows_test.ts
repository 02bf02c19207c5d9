import { assertEquals } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { folder } from "../../tests/support/main_process.ts";
import { createTables, load, markSent, publish } from "./rows.ts";

Deno.test("a store in which a bridge was before gets what it lacks", async () => {
  using dir = folder();
  const store = `${dir.path}/server.db`;
  await using server = await Server.listen({ port: 0, open: true, store });
  await server.transaction((tx) => {
    tx.run(`CREATE TABLE mqtt_out (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      topic TEXT NOT NULL,
      payload TEXT NOT NULL,
      retain INTEGER NOT NULL,
      stage INTEGER NOT NULL DEFAULT 0
    )`);
    tx.run(`CREATE UNIQUE INDEX mqtt_out_state ON mqtt_out (topic) WHERE retain = 1 AND stage = 0`);
    tx.run(`CREATE TABLE mqtt_in (packet INTEGER PRIMARY KEY)`);
    tx.run(`CREATE TABLE mqtt_session (one INTEGER, client_id TEXT, is_known INTEGER)`);
    tx.run(`INSERT INTO mqtt_session VALUES (1, 'holdfast1', 1)`);
    tx.run(`INSERT INTO mqtt_out (topic, payload, retain) VALUES ('a', '1', 1)`);
  });
  // Twice: the second time there is nothing to do.
  for (let i = 0; i < 2; i++) await server.transaction((tx) => createTables(tx, "another", 5));
  await server.transaction((tx) => {
    publish(tx, { topic: "b", payload: "2", retain: false, properties: "{}" }, 6);
    markSent(tx, 2, Infinity);
  });
  let kept: Awaited<ReturnType<typeof load>> | undefined;
  await server.transaction(async (tx) => void (kept = await load(tx, ["c"])));
  const isReleased = false;
  assertEquals(kept, {
    clientId: "holdfast1",
    inFlight: [
      { seq: 1, topic: "a", payload: "1", retain: true, isReleased },
      { seq: 2, topic: "b", payload: "2", retain: false, properties: "{}", isReleased },
    ],
    taken: [],
    filters: [],
  });
  await server.transaction(async (tx) => void (kept = await load(tx, ["c"])));
  assertEquals(kept?.filters, [{ filter: "c", isGranted: false }]);
});
