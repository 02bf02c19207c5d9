/**
 * Tests for every store in which applications have tables of their own.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import type { StoreDriver } from "./store_driver.ts";
import type { StoreRig } from "./store_place.ts";

/** Registers tests with a database. */
export function describeDatabase(
  test: (about: string, fn: (rig: StoreRig) => Promise<void>) => void,
): void {
  /** Starts with messages of a device, and a table. */
  const started = async (rig: StoreRig, ...texts: string[]): Promise<StoreDriver> => {
    const driver = await rig.driver();
    for (const id of ["1", "2"]) {
      for (const text of texts) {
        (driver.ledgers.get(id)?.record ?? await driver.begin(id)).receive(text);
      }
    }
    driver.transact([{ sql: "CREATE TABLE log (line TEXT UNIQUE)", params: [] }]);
    assertEquals((await driver.commit()).size, 0);
    return driver;
  };
  const insert = (line: string) => ({ sql: "INSERT INTO log VALUES (?)", params: [line] });
  const lines = async ({ store }: StoreRig) => {
    const rows = await store.database!.query("SELECT line FROM log ORDER BY line", [], "all");
    return rows.map(({ line }) => line);
  };

  test("a refused transaction leaves nothing, and others go on", async (rig) => {
    const driver = await started(rig, "a", "b", "c");
    const good = driver.transact([insert("x"), insert("y")], driver.processing("1"));
    const bad = driver.transact(
      [insert("z"), insert("x")],
      driver.processing("1"),
      driver.writing("2", "no"),
    );
    const worse = driver.transact([{ sql: "GARBAGE", params: [] }], driver.processing("2"));
    const last = driver.transact([insert("z")], driver.processing("1"), driver.writing("2", "yes"));
    const refused = await driver.commit();
    assertEquals([good, bad, worse, last].map((work) => refused.has(work)), [
      false,
      true,
      true,
      false,
    ]);
    assert(refused.get(bad) instanceof Error);
    assertEquals(await lines(rig), ["x", "y", "z"]);
    assertEquals(driver.record("1").inbox, ["c"]);
    assertEquals(driver.record("2").inbox, ["a", "b", "c"]);
    assertEquals(driver.record("2").outbox.map(({ text }) => text), ["yes"]);
    assertEquals((await rig.reopened()).states(), driver.states());
  });

  test("a statement that rolls back its transaction harms no other transaction", async (rig) => {
    const driver = await started(rig, "a", "b", "c");
    // PostgreSQL has no such statement: there, every failing one aborts its transaction.
    const insert = rig.store.database!.dialect === "postgresql" ? "INSERT" : "INSERT OR ROLLBACK";
    const works = ["a", "b", "a", "c", "b"].map((line, i) => {
      const sql = `${insert} INTO log VALUES (?)`;
      return driver.transact([{ sql, params: [line] }], driver.processing(`${i % 2 + 1}`));
    });
    const refused = await driver.commit();
    assertEquals(works.map((work) => refused.has(work)), [false, false, true, false, true]);
    assertEquals(await lines(rig), ["a", "b", "c"]);
    assertEquals(driver.record("1").inbox, ["b", "c"]);
    assertEquals(driver.record("2").inbox, ["c"]);
    assertEquals((await rig.reopened()).states(), driver.states());
    assertEquals(await lines(rig), ["a", "b", "c"]);
  });

  test("queries see what is committed, and change nothing", async (rig) => {
    const driver = await started(rig, "a");
    const { database } = rig.store;
    driver.transact([insert("a"), insert("b")]);
    assertEquals(await lines(rig), []);
    await driver.commit();
    assertEquals(await lines(rig), ["a", "b"]);
    const one = await database!.query(
      "SELECT line FROM log WHERE line > ? ORDER BY line",
      [""],
      "one",
    );
    assertEquals(one.map((row) => ({ ...row })), [{ line: "a" }]);
    for (
      const sql of [
        "DELETE FROM log",
        "SELECT 1; SELECT 2",
        "BEGIN",
        "COMMIT",
        "",
        "DROP TABLE log",
      ]
    ) {
      const error = await assertRejects(
        () => database!.query(sql, [], "all"),
        LocalError,
        undefined,
        sql,
      );
      assertEquals(error.code, "BAD_ARGUMENT");
    }
    await assertRejects(
      () => database!.query("SELECT * FROM nowhere", [], "all"),
      Error,
      "nowhere",
    );
  });
}
