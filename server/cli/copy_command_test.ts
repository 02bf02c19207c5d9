/** `holdfast store copy`, as a process. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { withPostgres } from "../../tests/support/postgres.ts";
import { step, stepping } from "../../tests/support/store_steps.ts";
import { plain, StoreDriver } from "../../tests/support/store_driver.ts";
import { MemoryStore, PostgresStore, SqliteStore, type Store } from "../mod.ts";
import { copyDevices } from "../store/copy.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function copy(...words: string[]): Promise<Ended> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "--no-check", MAIN, "store", "copy", ...words],
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Fills a store with every kind of state. */
async function fill(store: Store): Promise<void> {
  const driver = await stepping(store);
  for (let i = 1; i <= 120; i++) {
    step(driver, i, 20);
    if (i % 10 === 0) await driver.commit();
  }
  const record = driver.record("a");
  record.receive("\0bad");
  await driver.commit();
  record.addDeadLetter("Error: no", 1_700_000_000_000);
  driver.transact([{ sql: "CREATE TABLE log (line TEXT)", params: [] }]);
  await driver.commit();
}

/** Everything in a store except when messages were written: a store keeps that only to 1 ms. */
async function all(store: Store): Promise<unknown> {
  const driver = await StoreDriver.on(store);
  return Object.fromEntries(
    Array.from(driver.ledgers, ([id, { state }]) => {
      const { outbox, ...rest } = plain(state);
      return [id, { ...rest, outbox: outbox.map(({ written: _, ...it }) => it) }];
    }).toSorted(),
  );
}

/** The same, and closes the store. */
async function contents(store: Store): Promise<unknown> {
  try {
    return await all(store);
  } finally {
    await store.close();
  }
}

Deno.test("a store is copied unchanged, and only into an empty one", async () => {
  const [from, to] = [new MemoryStore(), new MemoryStore()];
  const driver = await stepping(from);
  for (let i = 1; i <= 50; i++) step(driver, i, 20);
  await driver.commit();
  const told: [number, number][] = [];
  assertEquals(await copyDevices(from, to, (...it) => told.push(it)), 3);
  assertEquals([await all(to), told], [await all(from), [[3, 3]]]);
  const error = await copyDevices(from, to).catch((error) => error);
  assertEquals(error.code, "BAD_ARGUMENT");
});

withPostgres("store copy, to PostgreSQL and back", (server) => {
  Deno.test("store copy: everything is unchanged after a copy from SQLite to PostgreSQL and back", async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      const [file, back] = [`${folder}/a.db`, `${folder}/b.db`];
      const store = new SqliteStore(file);
      await fill(store);
      await store.close();
      const expected = await contents(new SqliteStore(file));
      const url = server().url(server().schema());
      const there = await copy(file, url);
      assertEquals([there.code, there.out], [
        0,
        "copied 3 devices\nnot copied, because they belong to applications: tables log\n",
      ], there.err);
      assertStringIncludes(there.err, "read 3 of 3 devices");
      assertEquals(await contents(new PostgresStore(url)), expected);
      const again = await copy(url, back, "--json");
      assertEquals([again.code, JSON.parse(again.out)], [0, { devices: 3, left: [] }], again.err);
      assertEquals(await contents(new SqliteStore(back)), expected);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });

  Deno.test("store copy: refused if a server uses a store, the target is not empty or the source is missing", async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    const url = server().url(server().schema());
    const file = `${folder}/a.db`;
    const sqlite = new SqliteStore(file);
    await fill(sqlite);
    const postgres = new PostgresStore(url);
    const states = await all(postgres); // it has connected
    try {
      const cases: [words: string[], code: number, text: string][] = [
        [[file, url], 2, "in use by another server"],
        [[`${folder}/none.db`, url], 2, "does not exist"],
        [[file, file], 2, "the same"],
        [[":memory:", url], 2, "in memory"],
        [[file, "postgres://127.0.0.1:1/x"], 2, "in use"],
      ];
      for (const [words, code, text] of cases) {
        const ended = await copy(...words);
        assertEquals(ended.code, code, ended.err);
        assertStringIncludes(ended.err, text);
      }
      await sqlite.close();
      const used = await copy(file, url);
      assertEquals(used.code, 2, used.err);
      assertStringIncludes(used.err, "in use by a server: stop that one");
      assertEquals(await all(postgres), states);
      await postgres.close();
      assertEquals((await copy(file, url)).code, 0);
      const twice = await copy(file, url);
      assertEquals(twice.code, 2);
      assertStringIncludes(twice.err, "but has devices: 3");
      const away = await copy(file, "postgres://127.0.0.1:1/x");
      assertEquals(away.code, 1, away.err);
      const failed = `${folder}/made.db`;
      const nowhere = await copy("postgres://127.0.0.1:1/x", failed);
      assertEquals(nowhere.code, 1, nowhere.err);
      assert(![...Deno.readDirSync(folder)].some(({ name }) => name.startsWith("made")));
    } finally {
      await sqlite.close();
      await postgres.close();
      Deno.removeSync(folder, { recursive: true });
    }
  });
});
