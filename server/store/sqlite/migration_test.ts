/** Files of other versions: of 0.1.0, older and newer ones. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { image, restore, tear, torn } from "../../../tests/support/crash.ts";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { LocalError } from "../../protocol/errors.ts";
import { type OpenDatabase, openDatabase } from "./database.ts";
import { MIGRATIONS, newestVersion, SCHEMA_VERSION } from "./schema.ts";
import { SqliteStore } from "./sqlite.ts";

const testdata = new URL("./testdata/", import.meta.url);

/**
 * `store-0.1.0.sql` is a file of 0.1.0 (commit b264e6e), as SQL. It has five devices: in each dialect, one that was sent
 * 6 messages and has sent 300, so that its ids have come round, and one that acknowledges little; and one that has only
 * said hello. `store-0.1.0.json` is what that version itself has loaded from the file; `date` is in ms since 1970, and
 * `heard` has the id, hash, position and connection of each id of dialect 1.
 */
function makeOld(path: string): void {
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL");
  db.exec(`BEGIN; ${Deno.readTextFileSync(new URL("store-0.1.0.sql", testdata))} COMMIT`);
  db.close();
}

interface Expected {
  positions: Record<string, number>;
  inbox: string[];
  outbox: { seq: number; id: number | null; text: string; date: number }[];
  heard: string[];
}

/** When the old file is opened: a minute after its last message. */
const clock = { now: () => 5000, date: () => 1_795_876_482_675 };

/** The states that it is expected to hold. */
function expectedOfOld(): Record<string, unknown> {
  const json = Deno.readTextFileSync(new URL("store-0.1.0.json", testdata));
  const devices: [string, Expected][] = Object.entries(JSON.parse(json));
  return Object.fromEntries(
    devices.map(([id, { positions, inbox, outbox, heard }]) => [id, {
      positions,
      sent: positions.txNext,
      inbox,
      outbox: outbox.map(({ date, id, ...message }) => {
        const written = clock.now() - (clock.date() - date);
        return { ...message, id: id ?? undefined, written, expires: undefined, isDoubtful: false };
      }),
      heard: heard.map((line) => {
        const [id, hash, position, connection] = line.split(" ").map(Number);
        return [id, { hash, position, connection }];
      }),
      deadLetters: [],
      memos: new Map(),
    }]).toSorted(),
  );
}

function migrationTest(name: string, fn: (path: string) => void | Promise<void>): void {
  Deno.test(`sqlite store: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      await fn(`${folder}/holdfast.db`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

function exec(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

/** States of all devices in a store. */
async function statesIn(path: string) {
  const store = new SqliteStore(path, { clock });
  const states = (await StoreDriver.on(store)).states();
  await store.close();
  return states;
}

migrationTest("a file of 0.1.0 is read completely, with every id and time", async (path) => {
  makeOld(path);
  assertEquals(await statesIn(path) as unknown, expectedOfOld());
  assertEquals(await statesIn(path) as unknown, expectedOfOld(), "and again");
});

migrationTest("a server continues with a file of 0.1.0", async (path) => {
  makeOld(path);
  const store = new SqliteStore(path, { clock });
  const driver = await StoreDriver.on(store);
  const kitchen = driver.record("kitchen");
  const { duplicates, positions: { connects, nextId } } = kitchen;
  // 299 is the 300th message: 00, then 01 to ff, then 01 to 2c
  assert(duplicates.isRepeat(0x2c, "reading 299", connects));
  assert(!duplicates.isRepeat(0x2d, "reading 300", connects));
  assertEquals(kitchen.giveId(kitchen.outbox[0]), nextId);
  kitchen.process();
  driver.record("garage").settle();
  driver.record("attic").write("four", { overtakes: false, qos: true }, clock.now());
  await driver.commit();
  await store.close();
  assertEquals(await statesIn(path), driver.states());
});

migrationTest(
  "waiting messages of schema 1 count as sent, and later ones do not",
  async (path) => {
    makeOld(path);
    exec(
      path,
      `ALTER TABLE holdfast_outbox DROP COLUMN written;
    ALTER TABLE holdfast_devices DROP COLUMN tx_sent; PRAGMA user_version = 1`,
    );
    const store = new SqliteStore(path);
    const driver = await StoreDriver.on(store);
    const record = driver.record("garage");
    assertEquals([record.outbox.length, record.sent], [2, 2]);
    record.write("later", { overtakes: false, qos: true }, 0);
    await driver.commit();
    await store.close();
    const again = new SqliteStore(path);
    assertEquals((await StoreDriver.on(again)).record("garage").sent, 2);
    await again.close();
  },
);

migrationTest(
  "the age of messages of schema 2, which had no times, counts from the migration",
  async (path) => {
    makeOld(path);
    exec(path, "ALTER TABLE holdfast_outbox DROP COLUMN written; PRAGMA user_version = 2");
    const HOUR = 3_600_000;
    for (const least of [0, HOUR]) { // and go on counting
      const store = new SqliteStore(path);
      for (const { written } of (await StoreDriver.on(store)).record("garage").outbox) {
        const age = performance.now() - written;
        assert(age > least - 1 && age < least + HOUR / 2, `${age} ms`);
      }
      await store.close();
      exec(path, `UPDATE holdfast_outbox SET written = written - ${HOUR}`);
    }
  },
);

migrationTest(
  "a store of schema 6, which had no memos, has none at first, and can store some",
  async (path) => {
    makeOld(path);
    await statesIn(path);
    exec(path, "DROP TABLE holdfast_memos; PRAGMA user_version = 6");
    const store = new SqliteStore(path, { clock });
    const driver = await StoreDriver.on(store);
    assertEquals(driver.states() as unknown, expectedOfOld());
    driver.record("kitchen").setMemo("heater", "1");
    await driver.commit();
    await store.close();
    const { kitchen, garage } = await statesIn(path);
    assertEquals([kitchen!.memos, garage!.memos], [new Map([["heater", "1"]]), new Map()]);
  },
);

migrationTest("a newer store is refused, and not changed", (path) => {
  makeOld(path);
  exec(path, "PRAGMA user_version = 99");
  const before = Deno.readFileSync(path);
  const { code, message } = assertThrows(() => new SqliteStore(path), LocalError);
  assertEquals(code, "STORE_UNUSABLE");
  for (const part of [JSON.stringify(path), "newer Holdfast", "99", `${SCHEMA_VERSION}`]) {
    assertStringIncludes(message, part);
  }
  assertStringIncludes(message, "install that one, or choose another path");
  assertEquals(Deno.readFileSync(path), before);
});

/** Migrations as a later version might have them: they touch every page. */
const MADE_UP = [
  ...MIGRATIONS,
  `ALTER TABLE holdfast_devices ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';
  CREATE TABLE holdfast_moods AS SELECT id, mood, zeroblob(20000) AS x FROM holdfast_devices;
  UPDATE holdfast_heard SET hash = hash + 1;`,
  `DROP TABLE holdfast_moods;
  UPDATE holdfast_devices SET mood = 'glad' WHERE id = 'kitchen';`,
];

const NEWEST = newestVersion(MADE_UP);

/** A file's version, its devices' moods and the sum of all hashes. */
function look({ db, close }: OpenDatabase) {
  const first = (sql: string) => Object.values(db.prepare(sql).get()!)[0];
  const version = first("PRAGMA user_version");
  const moods = version === SCHEMA_VERSION
    ? undefined
    : db.prepare("SELECT mood FROM holdfast_devices").all().map(({ mood }) => mood).join();
  const hashes = first("SELECT sum(hash % 1000000) FROM holdfast_heard");
  close();
  return { version, moods, hashes };
}

migrationTest("only the missing migrations are made, in order", (path) => {
  makeOld(path);
  const before = look(openDatabase(path, "full"));
  assertEquals([before.version, newestVersion(MADE_UP)], [SCHEMA_VERSION, NEWEST]);
  const one = look(openDatabase(path, "full", MADE_UP.slice(0, -1)));
  assertEquals([one.version, one.moods], [NEWEST - 1, "calm,calm,calm,calm,calm"]);
  const both = look(openDatabase(path, "full", MADE_UP));
  assertEquals([both.version, both.moods], [NEWEST, "glad,calm,calm,calm,calm"]);
  assertEquals(both.hashes, one.hashes, "the first was not repeated");
  assertEquals(look(openDatabase(path, "full", MADE_UP)), both);
  assertThrows(
    () => openDatabase(path, "full"),
    LocalError,
    `schema ${NEWEST}; this one knows ${SCHEMA_VERSION}`,
  );
});

migrationTest("a new file has the newest schema too", (path) => {
  assertEquals(look(openDatabase(path, "full", MADE_UP)).version, NEWEST);
});

/** The store's tables, and their columns in order. Defaults are left out: a migration needs some, a new file none. */
function columns(path: string): unknown[] {
  const { db, close } = openDatabase(path, "full");
  const rows = db.prepare(`
    SELECT t.name AS "table", c.name, c.type, c."notnull", c.pk, t.strict, t.wr
    FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
    WHERE t.name LIKE 'holdfast\\_%' ESCAPE '\\' ORDER BY t.name, c.cid`).all();
  close();
  return rows;
}

migrationTest("a file that was migrated has the tables of a new one", (path) => {
  makeOld(path);
  const migrated = columns(path);
  assertEquals(migrated, columns(`${path}-new`));
  assert(migrated.length > 30, `${migrated.length} columns`);
});

migrationTest("a migration that fails leaves the file as it was", (path) => {
  makeOld(path);
  const before = look(openDatabase(path, "full"));
  const bytes = Deno.readFileSync(path);
  const failing = [...MADE_UP, "UPDATE holdfast_inbox SET nonsense = 1"];
  const error = assertThrows(() => openDatabase(path, "full", failing), LocalError);
  assertEquals(error.code, "STORE_UNUSABLE");
  assertStringIncludes(error.message, "nonsense");
  assertEquals(Deno.readFileSync(path), bytes);
  assertEquals(look(openDatabase(path, "full")), before);
});

migrationTest(
  "a power failure in a migration leaves the old version or the new one, whole",
  (path) => {
    makeOld(path);
    const old = look(openDatabase(path, "full"));
    const before = image(path);
    const opened = openDatabase(path, "full", MADE_UP);
    const after = image(path); // still in the log
    opened.close();
    const migrated = look(openDatabase(path, "full", MADE_UP));
    assertEquals([old.version, migrated.version], [SCHEMA_VERSION, NEWEST]);
    const { from, to } = tear(before, after)!;
    const copy = `${path}-copy`;
    const places = Array.from({ length: 30 }, () => from + Math.floor(Math.random() * (to - from)));
    for (const at of [from, ...places, to - 1]) {
      restore(copy, torn(before, after, at));
      assertEquals(look(openDatabase(copy, "full")), old, `byte ${at} of ${from} to ${to}`);
      restore(copy, torn(before, after, at));
      assertEquals(look(openDatabase(copy, "full", MADE_UP)), migrated, "and then it is migrated");
    }
    restore(copy, torn(before, after, to));
    assertEquals(look(openDatabase(copy, "full", MADE_UP)), migrated);
  },
);
