/** The tables of the bridge: the order in which rows go out, whatever comes in between. */
import { assertEquals } from "@std/assert";
import { Server, type Transaction } from "../../server/mod.ts";
import { folder } from "../../tests/support/main_process.ts";
import { behind, keep, load, markSent, publish } from "./rows.ts";
import { createTables, type Schema } from "./schema.ts";
import type { InFlight, Task } from "./tasks.ts";

const shown = ({ topic, payload }: { topic: string; payload: string }) => `${topic} ${payload}`;

Deno.test("the tables of an earlier bridge are migrated", async () => {
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
    tx.run(`CREATE TABLE mqtt_devices (
      device TEXT PRIMARY KEY, state TEXT NOT NULL, sleep INTEGER NOT NULL
    )`);
    tx.run(`INSERT INTO mqtt_devices VALUES ('kitchen', 'online', 0)`);
    tx.run(`INSERT INTO mqtt_out (topic, payload, retain) VALUES ('a', '1', 1)`);
  });
  // Twice: the second time there is nothing to do.
  let schema!: Schema;
  for (let i = 0; i < 2; i++) {
    await server.transaction(async (tx) => void (schema = await createTables(tx, "another", 5)));
  }
  let devices: unknown;
  await server.transaction(async (tx) => {
    devices = await tx.all(`SELECT * FROM mqtt_devices`);
    const message = { topic: "b", payload: "2", retain: false, properties: "{}" };
    publish(tx, schema, message, { since: 6, window: 0 });
    markSent(tx, schema, 2);
  });
  let kept: Awaited<ReturnType<typeof load>> | undefined;
  await server.transaction(async (tx) => void (kept = await load(tx, schema, ["c"])));
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
  const said = { will: null, welcome: null, is_welcomed: 0 };
  assertEquals((devices as object[]).map((row) => ({ ...row })), [{
    device: "kitchen",
    state: "online",
    sleep: 0,
    ...said,
  }]);
  await server.transaction(async (tx) => void (kept = await load(tx, schema, ["c"])));
  assertEquals(kept?.filters, [{ filter: "c", isGranted: false }]);
});

/** The tables of a bridge, in a store of their own. */
async function begin(path: string) {
  const options = { port: 0, hostname: "127.0.0.1", open: true, durability: "normal" } as const;
  const server = await Server.listen({ ...options, store: `${path}/server.db` });
  const commit = (use: (tx: Transaction) => Promise<void> | void) => server.transaction(use);
  let schema!: Schema;
  await commit(async (tx) => void (schema = await createTables(tx, "one", 1)));
  const add = (topic: string, payload: string, { retain = false, window = 0 } = {}) =>
    commit((tx) => publish(tx, schema, { topic, payload, retain }, { since: 1, window }));
  return {
    commit,
    schema,
    event: (payload: string, window?: number) => add("event", payload, { window }),
    state: (payload: string, window?: number) => add("temp", payload, { window, retain: true }),
    async inFlight() {
      let rows: readonly InFlight[] = [];
      await commit(async (tx) => void ({ inFlight: rows } = await load(tx, schema, [])));
      return rows.map((row) => `${shown(row)}${row.isReleased ? " released" : ""}`);
    },
    /** The ids of messages that a restarted server knows. */
    async taken() {
      let ids: readonly number[] = [];
      await commit(async (tx) => void ({ taken: ids } = await load(tx, schema, [])));
      return ids;
    },
    /** The rows after `seq`, those that wait in brackets. */
    async behind(seq: number, most: number) {
      let rows: Awaited<ReturnType<typeof behind>> = [];
      await commit(async (tx) => void (rows = await behind(tx, schema, seq, most)));
      return rows.map((row) => row.isSent ? shown(row) : `(${shown(row)})`);
    },
    [Symbol.asyncDispose]: () => server.close(),
  };
}

Deno.test("a newer state never overtakes the one that was sent, nor an event another", async () => {
  using dir = folder();
  await using tables = await begin(dir.path);
  const { commit, schema, state, event, inFlight } = tables;
  await state("1");
  await event("a");
  await commit((tx) => markSent(tx, schema, 1));
  await state("2"); // behind the first, which may be on its way
  await event("b");
  await state("3"); // instead of the second
  assertEquals(await inFlight(), ["temp 1"]);
  const release = { does: "release", packet: 1, seq: 1 } as const;
  await commit((tx) => keep(tx, release));
  await commit((tx) => markSent(tx, schema, 3));
  await state("4"); // the third may be on its way by now
  assertEquals(await inFlight(), ["temp 1 released", "event a", "temp 3"]);
  assertEquals(await tables.behind(3, 9), ["(event b)", "(temp 4)"]);
  await commit((tx) => keep(tx, { does: "resume", isPresent: false }));
  await commit((tx) => markSent(tx, schema, 100));
  assertEquals(await inFlight(), ["temp 1", "event a", "temp 3", "event b", "temp 4"]);
  assertEquals(await tables.behind(3, 1), ["event b"]);
});

Deno.test("the id of a message with QoS 2 outlives the server, until the broker is done with it or has forgotten it", async () => {
  using dir = folder();
  await using tables = await begin(dir.path);
  const { commit, taken } = tables;
  const does = (task: Task) => commit((tx) => keep(tx, task));
  const what = { topic: "temp", payload: new Uint8Array(), isRetained: false, isCut: false };
  for (const packet of [7, 8]) await does({ does: "deliver", packet, qos: 2, ...what });
  await does({ does: "deliver", packet: 9, qos: 1, ...what });
  await does({ does: "deliver", packet: 7, qos: 2, ...what }); // again
  assertEquals(await taken(), [7, 8]);
  await does({ does: "forget", packet: 7 });
  await does({ does: "resume", isPresent: true });
  assertEquals(await taken(), [8]);
  await does({ does: "resume", isPresent: false });
  assertEquals(await taken(), []);
});

Deno.test("an added row is sent at once if nothing waits and the broker is ready", async () => {
  using dir = folder();
  await using tables = await begin(dir.path);
  const { commit, schema, state, event } = tables;
  await state("1", 3);
  await state("2", 3); // the first may be on its way
  await event("a", 3);
  await event("b", 3); // three are under way
  await state("3", 4); // one waits
  await state("4", 4);
  assertEquals(
    await tables.behind(0, 9),
    ["temp 1", "temp 2", "event a", "(event b)", "(temp 4)"],
  );
  await commit((tx) => markSent(tx, schema, 100));
  await commit((tx) => keep(tx, { does: "release", packet: 1, seq: 1 }));
  await state("5", 5); // one that is released is under way, too
  await commit((tx) => tx.run("DELETE FROM mqtt_out WHERE stage = 0"));
  await commit((tx) => keep(tx, { does: "complete", packet: 1, seq: 1, topic: "temp" }));
  await state("6", 5);
  await event("c"); // the broker is not there
  assertEquals(
    await tables.behind(1, 9),
    ["temp 2", "event a", "event b", "temp 4", "temp 6", "(event c)"],
  );
});
