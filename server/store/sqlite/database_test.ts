import { assertEquals } from "@std/assert";
import { isDisk, isSqlite } from "./database.ts";

/** An error like node:sqlite's, with an extended result code of SQLite. */
function sqliteError(errcode: number): Error {
  return Object.assign(new Error("no"), { errcode });
}

Deno.test("errors of the disk are distinguished from errors of a statement", () => {
  // SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE, SQLITE_READONLY_DBMOVED
  assertEquals([13, 1034, 778, 1032].map((code) => isDisk(sqliteError(code))), Array(4).fill(true));
  // SQLITE_ERROR, SQLITE_CONSTRAINT_UNIQUE, SQLITE_BUSY
  const others = [1, 2067, 5].map(sqliteError);
  assertEquals(others.map(isDisk), [false, false, false]);
  assertEquals(others.map(isSqlite), [true, true, true]);
  for (const other of [new Error("no"), Object.assign(new Error("no"), { code: "EROFS" }), 13]) {
    assertEquals([isDisk(other), isSqlite(other)], [false, false]);
  }
});
