import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import type { Database } from "./store.ts";
import { Collector, type Operation } from "./transaction.ts";

/** Answers each query with itself, and refuses some statements. */
const database: Database = {
  query: (sql, params, most) => Promise.resolve([{ sql, params: params.join(), most }]),
  check(sql) {
    if (sql === "VACUUM") throw new LocalError("BAD_ARGUMENT", "not here");
  },
};

function collecting(database?: Database) {
  const written: unknown[] = [];
  const collect = (...message: unknown[]): Operation => {
    const [id] = message;
    if (id === "nobody") throw new LocalError("UNKNOWN_DEVICE", "who?");
    written.push(message);
    const device = { id: String(id), isForgotten: false, closed: undefined };
    return { device, apply() {}, undo() {}, done() {} };
  };
  return {
    written,
    tx: new Collector(database, { write: collect, set: collect, fence: collect }),
  };
}

Deno.test("transaction: it collects statements and messages", async () => {
  const { tx, written } = collecting(database);
  tx.run("INSERT INTO t VALUES (?, ?)", 1, "a");
  tx.write("1", "on");
  tx.write("2", "off", { wait: false });
  tx.fence("3");
  tx.run("DELETE FROM t");
  assertEquals(await tx.get("SELECT 1", 5), { sql: "SELECT 1", params: "5", most: "one" });
  assertEquals(await tx.all("SELECT 2"), [{ sql: "SELECT 2", params: "", most: "all" }]);
  assertEquals(tx.end().statements, [
    { sql: "INSERT INTO t VALUES (?, ?)", params: [1, "a"] },
    { sql: "DELETE FROM t", params: [] },
  ]);
  assertEquals(written, [["1", "on", {}], ["2", "off", { wait: false }], ["3"]]);
});

Deno.test("transaction: an invalid call throws at once, and is not collected", () => {
  const { tx, written } = collecting(database);
  assertEquals(assertThrows(() => tx.run("VACUUM"), LocalError).code, "BAD_ARGUMENT");
  assertEquals(assertThrows(() => tx.write("nobody", "x"), LocalError).code, "UNKNOWN_DEVICE");
  assertEquals([tx.end().statements, written], [[], []]);
});

Deno.test("transaction: a store without a database takes messages only", async () => {
  const { tx, written } = collecting();
  tx.write("1", "on");
  const calls = [() => tx.get("SELECT 1"), () => tx.all("SELECT 1")];
  const errors = await Promise.all(calls.map((call) => assertRejects(call, LocalError)));
  for (const error of [...errors, assertThrows(() => tx.run("SELECT 1"), LocalError)]) {
    assertEquals(error.code, "BAD_ARGUMENT");
    assertStringIncludes(error.message, "no database");
  }
  assertEquals([tx.end(), written.length], [{ statements: [] }, 1]);
});

Deno.test("transaction: after its function has ended it refuses every call", async () => {
  const { tx, written } = collecting(database);
  const { statements } = tx.end();
  const errors = [
    assertThrows(() => tx.run("DELETE FROM t"), LocalError),
    assertThrows(() => tx.write("1", "on"), LocalError),
    assertThrows(() => tx.fence("1"), LocalError),
    await assertRejects(() => tx.get("SELECT 1"), LocalError),
    await assertRejects(() => tx.all("SELECT 1"), LocalError),
  ];
  for (const { code, message } of errors) {
    assertEquals(code, "BAD_ARGUMENT");
    assertStringIncludes(message, "has ended");
  }
  assertEquals([statements, written], [[], []]);
});
