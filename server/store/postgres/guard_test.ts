/** The SQL that applications may use, as far as its text shows it. */
import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../protocol/errors.ts";
import { toChange, toQuery } from "./guard.ts";

Deno.test("each ? is a parameter, except in quotes and comments, and ?? is the operator ?", () => {
  const cases: [sql: string, numbered: string][] = [
    ["INSERT INTO t VALUES (?, ?)", "INSERT INTO t VALUES ($1, $2)"],
    ["SELECT '?', ? -- ?\n, ?", "SELECT '?', $1 -- ?\n, $2"],
    [`SELECT "?", 'it''s ?', E'\\'?', ?`, `SELECT "?", 'it''s ?', E'\\'?', $1`],
    ["SELECT $$?$$, $a$ ? $$ $a$, ? /* ? */", "SELECT $$?$$, $a$ ? $$ $a$, $1 /* ? */"],
    ["SELECT x ?? 'a' AND x ??| ?", "SELECT x ? 'a' AND x ?| $1"],
    ["SELECT $1, $2", "SELECT $1, $2"],
  ];
  for (const [sql, expected] of cases) {
    assertEquals(toChange(sql), expected);
    assertEquals(toChange(sql), expected, "the second time too");
  }
});

Deno.test("statements that only the store may use, and several statements at once, are refused", () => {
  const refused = [
    "COMMIT",
    "rollback",
    " BEGIN",
    "SAVEPOINT x",
    "RELEASE x",
    "VACUUM",
    "",
    " -- x",
  ]
    .concat("SET x = 1", "RESET ALL", "LISTEN x", "PREPARE x AS SELECT 1", "DO $$ BEGIN END $$")
    .concat(
      "COPY t FROM STDIN",
      "LOCK t",
      "CREATE DATABASE x",
      "SELECT 1; SELECT 2",
      "/* x */ COMMIT",
    )
    .concat("DELETE FROM holdfast_inbox", 'UPDATE "holdfast_devices" SET id = 1')
    .concat("DELETE FROM ONLY public.holdfast_inbox", "insert into HOLDFAST_memos values (1)")
    .concat("DROP TABLE IF EXISTS holdfast_heard", "CREATE TABLE holdfast_mine (x INT)")
    .concat("TRUNCATE holdfast_inbox", "ALTER TABLE x RENAME TO holdfast_x")
    .concat("CREATE INDEX mine ON holdfast_inbox (text)", "DROP SEQUENCE holdfast_tokens")
    .concat("WITH x AS (SELECT 1) DELETE FROM holdfast_outbox")
    .concat("CREATE TRIGGER t AFTER INSERT ON holdfast_inbox EXECUTE FUNCTION f()");
  for (const sql of refused) {
    assertEquals(
      assertThrows(() => toChange(sql), LocalError, undefined, sql).code,
      "BAD_ARGUMENT",
    );
  }
});

Deno.test("an application may change its own tables, and read the store's", () => {
  const allowed = [
    "CREATE TABLE log (line TEXT)",
    "INSERT INTO log SELECT text FROM holdfast_inbox; -- done",
    "INSERT INTO log SELECT text FROM holdfast_inbox AS i JOIN t ON holdfast_inbox.device = t.id",
    "INSERT INTO log VALUES ('DELETE FROM holdfast_inbox; x')",
    "DELETE FROM log USING holdfast_inbox WHERE log.line = holdfast_inbox.text",
    "SELECT pg_notify('x', 'y')",
    "UPDATE settings SET commit = 1",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
  ];
  for (const sql of allowed) assertEquals(toChange(sql), sql.replace(/\?/, "$1"));
});

Deno.test("a query must begin like one", () => {
  for (const sql of ["SELECT 1", "(select 1)", "WITH x AS (SELECT 1) TABLE x", "VALUES (1)"]) {
    assertEquals(toQuery(sql), sql);
  }
  for (const sql of ["DELETE FROM log", "BEGIN", "", "SELECT 1; SELECT 2", "selects"]) {
    assertEquals(assertThrows(() => toQuery(sql), LocalError, undefined, sql).code, "BAD_ARGUMENT");
  }
});
