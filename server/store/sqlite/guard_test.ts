/** What applications may do in a store's file, and what they may not. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { LocalError } from "../../protocol/errors.ts";
import { SqliteStore } from "./sqlite.ts";

function guardTest(
  name: string,
  fn: (store: SqliteStore, driver: StoreDriver) => Promise<void>,
): void {
  Deno.test(`sqlite store: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    const store = new SqliteStore(`${folder}/holdfast.db`, { durability: "normal" });
    try {
      const driver = await StoreDriver.on(store);
      for (const text of ["a", "b"]) (await driver.begin(text)).receive(text);
      await run(driver, "CREATE TABLE log (line TEXT UNIQUE) STRICT");
      await fn(store, driver);
    } finally {
      await store.close();
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** Executes statements in a transaction of their own. @returns its error, if any */
async function run(driver: StoreDriver, ...sql: string[]): Promise<unknown> {
  const work = driver.transact(sql.map((sql) => ({ sql, params: [] })));
  return (await driver.commit()).get(work);
}

async function lines(store: SqliteStore): Promise<unknown[]> {
  const rows = await store.query("SELECT line FROM log ORDER BY rowid", [], "all");
  return rows.map(({ line }) => line);
}

guardTest(
  "IF NOT EXISTS and IF EXISTS work for what exists or is gone already",
  async (store, driver) => {
    const statements = ["CREATE TABLE IF NOT EXISTS log (line)", "DROP TABLE IF EXISTS gone"]
      .concat("CREATE INDEX IF NOT EXISTS by_line ON log (line)", "DROP INDEX IF EXISTS gone")
      .concat("DROP VIEW IF EXISTS gone");
    for (let i = 0; i < 2; i++) {
      for (const sql of statements) {
        store.check(sql);
        assertEquals(await run(driver, sql), undefined, sql);
      }
    }
  },
);

const STORES_OWN = ["COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT x", "RELEASE holdfast_work"]
  .concat("VACUUM", "--", "", "PRAGMA user_version = 7", "ATTACH '/tmp/x' AS x", "DETACH x")
  .concat("DELETE FROM holdfast_inbox", "UPDATE HOLDFAST_devices SET id = 'x'")
  .concat("DROP TABLE holdfast_heard", "CREATE TABLE holdfast_mine (x)")
  .concat("CREATE INDEX mine ON holdfast_inbox (text)", "ANALYZE holdfast_inbox")
  .concat("CREATE TRIGGER t AFTER INSERT ON holdfast_inbox BEGIN SELECT 1; END")
  .concat("ALTER TABLE holdfast_inbox ADD COLUMN x", "ALTER TABLE log RENAME TO holdfast_log")
  .concat("WITH x AS (SELECT 1) DELETE FROM holdfast_outbox")
  .concat("INSERT OR REPLACE INTO holdfast_memos VALUES (1, 'a', 'b')");

guardTest(
  "statements cannot touch the store's tables, and are refused at the call and at the commit",
  async (store, driver) => {
    const before = driver.states();
    for (const sql of STORES_OWN) {
      const error = assertThrows(() => store.check(sql), LocalError, undefined, sql);
      assertEquals(error.code, "BAD_ARGUMENT");
      assertStringIncludes(error.message, "holdfast_");
      const later = await run(driver, "INSERT INTO log VALUES ('no')", sql) as LocalError;
      assertEquals(later.code, "BAD_ARGUMENT", sql);
    }
    assertEquals(await lines(store), []);
    assertEquals((await StoreDriver.on(store)).states(), before);
  },
);

guardTest(
  "applications have tables, indexes, views and triggers of their own",
  async (store, driver) => {
    for (
      const sql of [
        "CREATE TABLE more (x)",
        "CREATE INDEX more_x ON more (x)",
        "CREATE VIEW view AS SELECT count(*) AS n FROM more",
        "CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log WHERE line = 'x;'; END;",
        "INSERT INTO log SELECT text || ';' FROM holdfast_inbox; -- done",
        "INSERT INTO log /* ; x */ VALUES ('it''s; \";') ; ; -- ; x",
        "ALTER TABLE more ADD COLUMN y",
        "DROP TABLE more",
      ]
    ) {
      store.check(sql);
      assertEquals(await run(driver, sql), undefined, sql);
    }
    assertEquals(await lines(store), ["a;", "b;", `it's; ";`]);
  },
);

guardTest("several statements in one call are refused, not ignored", async (store) => {
  for (const sql of ["SELECT 1; SELECT 2", "DELETE FROM log; DELETE FROM log"]) {
    const error = assertThrows(() => store.check(sql), LocalError, "one statement");
    assertEquals(error.code, "BAD_ARGUMENT");
    await assertRejects(() => store.query(sql, [], "all"), LocalError, "one statement");
  }
});

guardTest(
  "a statement passes the check when an earlier statement creates its table",
  async (store, driver) => {
    const statements = ["CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"];
    for (const sql of statements) store.check(sql);
    assertEquals(await run(driver, ...statements), undefined);
    assertEquals((await store.query("SELECT x FROM t", [], "one")).length, 1);
  },
);

guardTest("a query cannot change anything", async (store) => {
  const refused = ["INSERT INTO log VALUES ('x') RETURNING line", "DELETE FROM log", "VACUUM", ""]
    .concat("BEGIN", "COMMIT", "PRAGMA user_version = 7", "ATTACH '/tmp/x' AS x")
    .concat("CREATE TABLE x (y)");
  for (const sql of refused) {
    const error = await assertRejects(() => store.query(sql, [], "all"), LocalError);
    assertEquals(error.code, "BAD_ARGUMENT", sql);
  }
  assertEquals(await lines(store), []);
});

guardTest(
  "a trigger cannot touch the store's tables, even if a statement prepared before fires it",
  async (store, driver) => {
    const before = driver.states();
    const insert = "INSERT INTO log VALUES ('a')";
    assertEquals(await run(driver, insert, "DELETE FROM log"), undefined);
    const trigger = "CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM holdfast_inbox; END";
    await run(driver, trigger); // SQLite may or may not refuse it
    const error = await run(driver, insert);
    if (error !== undefined) assertEquals((error as LocalError).code, "BAD_ARGUMENT");
    assertEquals((await StoreDriver.on(store)).states(), before);
  },
);

guardTest("values of all types can be written and read", async (store, driver) => {
  await run(driver, "CREATE TABLE v (a, b, c, d, e)");
  const values = [null, 1.5, 2n ** 53n + 1n, "text", new Uint8Array([1, 2])];
  driver.transact([{ sql: "INSERT INTO v VALUES (?, ?, ?, ?, ?)", params: values }]);
  assertEquals((await driver.commit()).size, 0);
  const [row] = await store.query("SELECT a, b, CAST(c AS TEXT) AS c, d, e FROM v", [], "one");
  assertEquals(Object.values(row!), [null, 1.5, "9007199254740993", "text", values[4]!]);
});
