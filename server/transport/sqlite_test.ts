import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import { sqlite } from "./sqlite.ts";

Deno.test("SQLite is available, with its class", () => {
  const { DatabaseSync } = sqlite('the store "a.db"');
  const db = new DatabaseSync(":memory:");
  assertEquals(db.prepare("SELECT 1 AS one").get()?.one, 1);
  db.close();
});

Deno.test("on a Node without SQLite the error names the file, and says what to do", () => {
  const error = assertThrows(() => sqlite('the store "a.db"', () => undefined), LocalError);
  assertEquals(error.code, "STORE_UNUSABLE");
  assertMatch(error.message, /^the store "a\.db" cannot .* needs Node 24\.10 or later/);
});
