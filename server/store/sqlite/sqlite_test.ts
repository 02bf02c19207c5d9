import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { inOwnProcess } from "../../../tests/support/own_process.ts";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { LocalError } from "../../protocol/errors.ts";
import { MemoryStore } from "../memory.ts";
import { SqliteStore, type SqliteStoreOptions } from "./sqlite.ts";
import { snapshots, step, stepping } from "../../../tests/support/store_steps.ts";

/** Runs a test with a path in a folder of its own. */
function storeTest(
  name: string,
  fn: (path: string, folder: string, t: Deno.TestContext) => void | Promise<void>,
): void {
  Deno.test(`sqlite store: ${name}`, async (t) => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      await fn(`${folder}/holdfast.db`, folder, t);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** Runs a function on a store with all its devices, commits the changes, and closes the store. */
async function within<T>(
  path: string,
  fn: (driver: StoreDriver) => T | Promise<T>,
  options?: SqliteStoreOptions,
): Promise<T> {
  const store = new SqliteStore(path, options);
  try {
    const driver = await StoreDriver.on(store);
    const result = await fn(driver);
    await driver.commit();
    return result;
  } finally {
    await store.close();
  }
}

function assertUnusable(path: string, ...parts: string[]): void {
  const error = assertThrows(() => new SqliteStore(path), LocalError);
  assertEquals(error.code, "STORE_UNUSABLE");
  for (const part of [JSON.stringify(path), ...parts]) assertStringIncludes(error.message, part);
}

storeTest("every kind of change is read back, however many steps share a commit", async (path) => {
  for (const every of [1, 2, 7, 400]) {
    const model = await stepping(new MemoryStore());
    const open = () => new SqliteStore(`${path}${every}`, { durability: "normal" });
    let store = open();
    let driver = await stepping(store);
    for (let i = 1; i <= 400; i++) {
      step(model, i, 10);
      step(driver, i, 10);
      if (i % every === 0) await driver.commit();
      if (i % 39 === 0) {
        await driver.commit();
        await store.close();
        store = open();
        driver = await stepping(store);
        assertEquals(snapshots(driver), snapshots(model), `after ${i} steps`);
      }
    }
    await store.close();
  }
});

storeTest("10,000 devices are read back in the order in which they were added", async (path) => {
  const ids = Array.from({ length: 10_000 }, (_, i) => `device ${i}`);
  await within(path, async (driver) => {
    for (const id of ids) (await driver.acquire(id)).receive(`hello from ${id}`);
    await driver.commit();
    for (const id of ids) {
      driver.record(id).process();
      driver.record(id).receive("2");
    }
  });
  await within(path, async (driver) => {
    assertEquals([...driver.ledgers.keys()], ids);
    for (const id of ids) assertEquals(driver.record(id).inbox, ["2"]);
    (await driver.acquire("one more")).change({ connects: 1 });
  });
  await within(path, (driver) => assertEquals([...driver.ledgers.keys()], [...ids, "one more"]));
});

storeTest("a device that is acquired again is read from the file again", async (path) => {
  const store = new SqliteStore(path, { clock: { now: () => 0, date: () => 1e12 } });
  const first = await StoreDriver.on(store);
  for (const id of ["0", "1", "2"]) {
    const record = await first.begin(id);
    for (const text of ["a", "b", "c"]) {
      record.receive(`${text}${id}`);
      record.write(text, { overtakes: false, qos: true }, 0);
      record.hear(record.inbox.length, text);
      record.setMemo(text, id);
    }
    record.process();
    record.settle();
  }
  await first.commit();
  const committed = first.states();
  first.record("1").receive("not committed");
  assertEquals((await StoreDriver.on(store)).states(), committed);
  await store.close();
});

storeTest("a device whose changes were all undone is not known", async (path) => {
  await within(path, async (driver) => {
    const record = await driver.acquire("1");
    record.write("a", { overtakes: false, qos: true }, 0);
    record.unwrite();
    await driver.store.commit({ works: [], changes: () => driver.changed }); // as `Turn` does
    assertEquals((await driver.store.acquire("1")).state, undefined);
  });
});

storeTest("a device that is forgotten comes back to the same store as a new one", async (path) => {
  await within(path, async (driver) => {
    (await driver.acquire("1")).receive("old");
    await driver.commit();
    driver.ledgers.get("1")!.remove();
    await driver.commit();
    assertEquals((await driver.store.acquire("1")).state, undefined);
    (await driver.acquire("1")).receive("new");
    await driver.commit();
  });
  assertEquals(await within(path, (driver) => driver.record("1").inbox), ["new"]);
});

storeTest("an invalid query is the caller's error, not a failure of the store", async (path) => {
  const store = new SqliteStore(path);
  const error = await assertRejects(() => store.query("SELECT * FROM nowhere", [], "all"), Error);
  assertEquals([error instanceof LocalError, error.message], [false, "no such table: nowhere"]);
  await store.close();
});

storeTest("the file stays small, however many messages pass through it", async (path) => {
  const store = new SqliteStore(path, { durability: "normal" });
  const driver = await StoreDriver.on(store);
  for (let i = 0; i < 10; i++) await driver.acquire(`${i}`);
  const text = "x".repeat(100);
  for (let i = 0; i < 100_000; i++) {
    const record = driver.record(`${i % 10}`);
    record.hear(i % 255 + 1, `${i}`);
    record.receive(text);
    record.write(text, { overtakes: false, qos: true }, 0);
    if (i % 500 === 0) {
      await driver.commit();
      for (const { record } of driver.ledgers.values()) {
        while (record.safe > 0) record.process();
        while (record.outbox.length > 5) record.settle();
      }
    }
  }
  await driver.commit();
  assertLess(Deno.statSync(path).size, 1024 * 1024);
  assertLess(Deno.statSync(`${path}-wal`).size, 9 * 1024 * 1024);
  // A transaction of any size makes the log longer only for a while.
  const record = driver.record("1");
  const long = "x".repeat(10_000);
  const grow = async () => {
    for (let i = 0; i < 3000; i++) record.receive(long);
    await driver.commit();
    while (record.inbox.length > 0) record.process();
  };
  await grow();
  for (let i = 0; i < 10; i++) {
    record.change({ rxNext: i });
    await driver.commit();
  }
  assertLess(Deno.statSync(`${path}-wal`).size, 9 * 1024 * 1024);
  const { size } = Deno.statSync(path);
  await grow();
  await driver.commit();
  await store.close();
  assertLess(Deno.statSync(path).size, size * 1.1, "what became free is used again");
});

storeTest("a commit without changes, or after close, writes nothing", async (path) => {
  const store = new SqliteStore(path);
  const driver = await StoreDriver.on(store);
  const record = await driver.acquire("1");
  record.receive("a");
  await driver.commit();
  const { size } = Deno.statSync(`${path}-wal`);
  await driver.commit();
  assertEquals(Deno.statSync(`${path}-wal`).size, size);
  await store.close();
  assertEquals([...Deno.readDirSync(path.replace(/[^/]*$/, ""))].map(({ name }) => name), [
    "holdfast.db",
  ]);
  await store.close();
  record.receive("b");
  const calls = [() => driver.commit(), () => store.list(), () => store.acquire("1")];
  for (const call of [...calls, () => store.query("SELECT 1", [], "one")]) {
    assertEquals((await assertRejects(call, LocalError)).code, "STORE_FAILED");
  }
  assertThrows(() => store.check("SELECT 1"), LocalError, "closed");
});

storeTest("an exception of the caller is not a failure of the store", async (path) => {
  const store = new SqliteStore(path);
  const changes = () => {
    throw new RangeError("a bug");
  };
  await assertRejects(() => store.commit({ works: [], changes }), RangeError, "a bug");
  const driver = await StoreDriver.on(store);
  (await driver.acquire("1")).receive("a");
  await driver.commit();
  await store.close();
});

storeTest("only the owner may read and write a new file", async (path) => {
  await within(path, () => {
    if (Deno.build.os === "windows") return;
    for (const file of [path, `${path}-wal`]) {
      assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
    }
  });
});

storeTest("an empty file becomes a store", async (path) => {
  Deno.writeTextFileSync(path, "");
  await within(path, addDevice);
  await within(path, ({ ledgers }) => assertEquals(ledgers.size, 1));
});

/** Adds a device to the store. */
async function addDevice(driver: StoreDriver): Promise<void> {
  (await driver.acquire("1")).receive("a");
}

storeTest(
  "names that have another meaning for SQLite are files too",
  (_, folder, t) =>
    inOwnProcess(t, async () => {
      const before = Deno.cwd();
      Deno.chdir(folder);
      try {
        for (const name of [":memory:", "file:x?mode=memory"]) {
          await within(name, addDevice);
          await within(name, ({ ledgers }) => assertEquals(ledgers.size, 1));
          assert(Deno.statSync(name).size > 0);
        }
      } finally {
        Deno.chdir(before);
      }
    }),
);

storeTest("a file that is not a store is refused, and not changed", (path, folder) => {
  const contents = {
    text: new TextEncoder().encode("Dear diary,\n".repeat(100)),
    short: new Uint8Array([1, 2, 3]),
  };
  for (const [name, bytes] of Object.entries(contents)) {
    Deno.writeFileSync(`${path}-${name}`, bytes);
    assertUnusable(`${path}-${name}`, "some other file", "choose another path");
    assertEquals(Deno.readFileSync(`${path}-${name}`), bytes);
  }
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  assertEquals(names, ["holdfast.db-short", "holdfast.db-text"]);
});

storeTest("another program's database is refused, and not changed", (path, folder) => {
  const db = new DatabaseSync(`${folder}/live`);
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)");
  // As if that program had been killed: its log is still there.
  for (const end of ["", "-wal"]) Deno.copyFileSync(`${folder}/live${end}`, `${path}${end}`);
  db.close();
  const read = () => ["", "-wal"].map((end) => Deno.readFileSync(`${path}${end}`));
  const before = read();
  assertUnusable(path, "another program's SQLite database", "choose another path");
  assertEquals(read(), before);
});

const HOUR = 3_600_000;

/** Writes a message of this age, in ms, to device 1. */
async function writeOld(path: string, age: number, options: SqliteStoreOptions): Promise<void> {
  const now = (options.clock ?? performance).now();
  await within(path, async (driver) => {
    const record = await driver.acquire("1");
    record.write("text", { overtakes: false, qos: true }, now - age);
  }, options);
}

storeTest(
  "the age of a message survives the process, whatever time the next clock starts at",
  async (path) => {
    await writeOld(path, 2 * HOUR, { clock: { now: () => 9 * HOUR, date: () => 1e12 } });
    const clock = { now: () => 100, date: () => 1e12 + HOUR };
    await within(path, async (driver) => {
      const [message] = driver.record("1").outbox;
      assertEquals(message!.written, 100 - 3 * HOUR);
      driver.record("1").withdraw(message!); // its row is written again, and is no younger
      await driver.commit();
      assertEquals((await driver.acquire("1")).outbox[0]!.written, 100 - 3 * HOUR);
    }, { clock });
  },
);

storeTest("a message dated in the future by a clock set back counts as new", async (path) => {
  await writeOld(path, 0, { clock: { now: () => 7, date: () => 1e12 } });
  const clock = { now: () => 9, date: () => 1e12 - HOUR }; // it was set back
  await within(path, (driver) => assertEquals(driver.record("1").outbox[0]!.written, 9), { clock });
});

storeTest("a store without a clock uses the process's", async (path) => {
  const before = performance.now() - HOUR;
  await writeOld(path, HOUR, {});
  await within(path, (driver) => {
    const { written } = driver.record("1").outbox[0]!;
    assert(Math.abs(written - before) < HOUR / 2, `${written - before} ms`);
  });
});

storeTest("a damaged store is refused", async (path) => {
  await within(path, async (driver) => {
    for (let i = 0; i < 1000; i++) (await driver.acquire(`${i}`)).receive("x".repeat(100));
  });
  const whole = Deno.readFileSync(path);
  for (const [from, to] of [[4096, 8192], [20_000, 60_000], [100, 4096]]) {
    const bytes = whole.slice();
    bytes.fill(0x5a, from, to);
    Deno.writeFileSync(path, bytes);
    assertUnusable(path, "is damaged", "restore a backup");
  }
  Deno.writeFileSync(path, whole.subarray(0, whole.length >> 1));
  assertUnusable(path, "is damaged");
  Deno.writeFileSync(path, whole);
  await within(path, ({ ledgers }) => assertEquals(ledgers.size, 1000));
});

/** SQL that puts a number into a column for texts, as a damaged page may have it. */
const NUMBER_AS_TEXT = `PRAGMA writable_schema = ON;
  UPDATE sqlite_schema SET sql = replace(sql, 'text TEXT', 'text ANY') WHERE name = 'holdfast_memos';
  PRAGMA writable_schema = RESET;
  UPDATE holdfast_memos SET text = 5;
  PRAGMA writable_schema = ON;
  UPDATE sqlite_schema SET sql = replace(sql, 'text ANY', 'text TEXT') WHERE name = 'holdfast_memos';`;

/** An option that Deno's types do not have yet: it lets a schema be written. */
const WRITABLE = { defensive: false } as ConstructorParameters<typeof DatabaseSync>[1];

storeTest("rows that contradict each other are refused", async (path) => {
  const damage = {
    "DELETE FROM holdfast_inbox WHERE number = 1": "a message of device 1 is missing",
    "DELETE FROM holdfast_outbox WHERE number = 2": "a message of device 1 is missing",
    "DELETE FROM holdfast_outbox WHERE number = 1": "a message of device 1 is missing",
    "DELETE FROM holdfast_outbox WHERE number = 0; UPDATE holdfast_outbox SET number = 5 WHERE number = 2":
      "a message of device 1 is missing",
    "DELETE FROM holdfast_inbox WHERE number = 0": "a message of device 1 is missing",
    "UPDATE holdfast_inbox SET number = 5 WHERE number = 2": "a message of device 1 is missing",
    "DELETE FROM holdfast_devices": "device 1 is missing",
    "UPDATE holdfast_memos SET device = 7": "device 7 is missing",
    [NUMBER_AS_TEXT]: "non-TEXT value in holdfast_memos.text",
    "DELETE FROM holdfast_store": "its row about itself is missing",
  };
  for (const [i, [sql, message]] of Object.entries(damage).entries()) {
    await within(`${path}${i}`, async (driver) => {
      const record = await driver.acquire("1");
      record.setMemo("m", "1");
      for (const text of ["a", "b", "c"]) {
        record.receive(text);
        record.write(text, { overtakes: false, qos: true }, 0);
      }
    });
    const db = new DatabaseSync(`${path}${i}`, WRITABLE);
    db.exec(sql);
    db.close();
    assertUnusable(`${path}${i}`, message);
  }
});

storeTest("a folder, a missing folder and a device are refused", (path, folder) => {
  assertUnusable(folder, "is a directory");
  Deno.writeTextFileSync(path, "");
  assertUnusable(`${path}/x`, "cannot be opened");
  Deno.removeSync(path);
  assertUnusable(`${folder}/nowhere/x`, "does not exist");
  if (Deno.build.os !== "windows") assertUnusable("/dev/null", "not a regular file");
  assertEquals([...Deno.readDirSync(folder)], []);
});

storeTest("one process cannot open a store twice, by any name", async (path) => {
  const store = new SqliteStore(path);
  assertUnusable(path, "in use");
  if (Deno.build.os !== "windows") {
    Deno.symlinkSync(path, `${path}-link`);
    assertUnusable(`${path}-link`, "in use");
  }
  await store.close();
  await within(path, addDevice);
  await within(path, (driver) => assertEquals(driver.record("1").inbox, ["a"]));
});

storeTest("without Deno's permission the error names the flags needed", async (path) => {
  const code = `import { SqliteStore } from ${JSON.stringify(import.meta.resolve("./sqlite.ts"))};
    try { new SqliteStore(${JSON.stringify(path)}) } catch (e) { console.log(e.code, e.message) }`;
  const file = `${path}.ts`;
  Deno.writeTextFileSync(file, code);
  for (const flags of [[], [`--allow-read=${path}`]]) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--no-prompt", ...flags, file],
      cwd: import.meta.dirname!,
    }).output();
    assertMatch(new TextDecoder().decode(stdout), /^STORE_UNUSABLE .*--allow-read.*--allow-write/);
  }
});
