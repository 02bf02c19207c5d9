/** A lease on a store and a clock that the test controls. */
import { assert, assertEquals } from "@std/assert";
import type { Transaction } from "../../server/mod.ts";
import { ManualPlatform } from "../../tests/support/manual_platform.ts";
import { Lease } from "./lease.ts";

Deno.test("a server that cannot look at the lease says why, once for each reason in a row", async () => {
  const clock = new ManualPlatform();
  const told: unknown[] = [];
  let reason: string | undefined = "no connections left";
  let looks = 0;
  const nobodys = { server: "another", token: 1, is_free: 0, round: 0, waits: 0 };
  const tables = { get: () => Promise.resolve(nobodys), run: () => {} };
  const lease = new Lease({
    clock,
    async transaction(use) {
      looks++;
      if (reason !== undefined) throw new Error(reason);
      await use(tables as unknown as Transaction);
    },
    begins: () => {},
    ends: () => {},
    saw: () => {},
    fails: (error) => void told.push((error as Error).message),
  }, 60_000);
  const look = async (why: string | undefined) => {
    reason = why;
    const before = looks;
    for (let n = 0; n < 5; n++) await clock.advance(100);
    assert(looks > before);
  };
  lease.start();
  await look("no connections left");
  await look("a table is missing");
  await look(undefined);
  assertEquals(told, ["no connections left", "a table is missing"]);
  await look("a table is missing");
  assertEquals(told.length, 3);
  reason = "the server was closed";
  lease.close();
  await clock.advance(1000);
  assertEquals(told.length, 3);
});

Deno.test("a server keeps the lease while each commit takes nearly a third of it", async () => {
  const clock = new ManualPlatform();
  const said: string[] = [];
  const row = { server: "", token: 0, is_free: 1, round: 0, waits: 0 };
  const lease = new Lease({
    clock,
    async transaction(use) {
      const taking: unknown[] = [];
      const run = (sql: string, ...params: unknown[]) => {
        if (sql.startsWith("UPDATE mqtt_lease SET server")) taking.push(params[0]);
      };
      const get = () => Promise.resolve(row);
      await use({ get, run } as unknown as Transaction);
      await new Promise<void>((resolve) => clock.after(1500, resolve));
      for (const server of taking) {
        Object.assign(row, { server, is_free: 0 });
        row.token++;
      }
    },
    begins: () => void said.push("begins"),
    ends: () => void said.push("ends"),
    saw: () => {},
    fails: (error) => void said.push(String(error)),
  }, 5000);
  lease.start();
  await clock.advance(60_000);
  assertEquals([said, row.token], [["begins"], 1]);
  lease.close();
  await clock.advance(1500);
});
