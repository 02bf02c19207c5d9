/** The bridge's tables in PostgreSQL: when they are made. */
import { assertEquals } from "@std/assert";
import { PostgresStore, Server } from "../../server/mod.ts";
import { openSession, withPostgres } from "../../tests/support/postgres.ts";
import { createTables } from "./schema.ts";

/** A server that has made the tables, if necessary. @param stack Closes it. */
async function start(url: string, stack: AsyncDisposableStack): Promise<Server> {
  const store = stack.adopt(new PostgresStore(url), (it) => it.close());
  const options = { port: 0, hostname: "127.0.0.1", open: true, store };
  const server = stack.use(await Server.listen(options));
  await server.transaction(async (tx) => void await createTables(tx, "one", 1));
  return server;
}

withPostgres("the making of the bridge's tables", (server) => {
  Deno.test("PostgreSQL: a bridge starts while another server has a transaction open on its tables", async () => {
    const name = server().schema();
    await using stack = new AsyncDisposableStack();
    const first = await start(server().url(name), stack);
    const open = await openSession(server().url(name));
    await open.ask("BEGIN");
    await open.ask("LOCK TABLE mqtt_devices, mqtt_out, mqtt_retained IN ROW EXCLUSIVE MODE");
    const second = await start(server().url(name), stack);
    const sql = "INSERT INTO mqtt_requests VALUES (?, 'topic', NULL)";
    await Promise.all([first, second].map((it, id) => it.transaction((tx) => tx.run(sql, id))));
    await open.ask("ROLLBACK");
    await open.close();
  });

  Deno.test("PostgreSQL: a table, index or column that an earlier bridge did not have is made", async () => {
    const name = server().schema();
    await using stack = new AsyncDisposableStack();
    const only = await start(server().url(name), stack);
    const all = () =>
      server().sql(
        `SELECT relkind, relname FROM pg_class
          WHERE relnamespace = current_schema::regnamespace AND relname LIKE 'mqtt%'
        UNION SELECT 'column', attname FROM pg_attribute
          WHERE attrelid = 'mqtt_devices'::regclass AND NOT attisdropped ORDER BY 1, 2`,
        name,
      );
    const before = all();
    const dropped = (kind: string) =>
      before.split("\n").filter((row) => row.startsWith(kind)).map((row) => row.split("|")[1]!);
    const indexes = dropped("i").filter((index) => !/_p?key$/.test(index));
    const changes = [
      ...dropped("r").map((table) => `DROP TABLE ${table}`),
      ...indexes.map((index) => `DROP INDEX ${index}`),
      "ALTER TABLE mqtt_devices DROP COLUMN round",
    ];
    assertEquals(changes.length, 9 + 3 + 1);
    for (const change of changes) {
      server().sql(change, name);
      await only.transaction(async (tx) => void await createTables(tx, "one", 1));
      assertEquals(all(), before, change);
    }
  });
});
