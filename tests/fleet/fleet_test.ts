import { assert, assertEquals } from "@std/assert";
import { isFaultless } from "../chaos/account.ts";
import { withPostgres } from "../support/postgres.ts";
import { fleet } from "./fleet.ts";

withPostgres("a fleet of real servers on one PostgreSQL", (server) => {
  Deno.test("three servers on one PostgreSQL, killed, stopped and cut off: every message once, in order", async () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const options = { servers: 3, devices: 12, kills: 9, crashes: 1, seed, timeout: 1500 };
    const result = await fleet(server(), { ...options, progress() {} });
    const shown = JSON.stringify({ seed, ...result }, undefined, 2);
    assert(isFaultless(result), shown);
    assertEquals(result.up, result.down, shown);
    assert(result.up > 12 * 20, shown);
  });
});
