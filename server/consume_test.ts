/** `Device.consume`: a message and its effects in one transaction. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Device } from "./device.ts";
import { LocalError } from "./protocol/errors.ts";
import { defaultLimits } from "./link/limits.ts";
import { Session } from "./link/session.ts";
import { Turn } from "./runtime/turn.ts";
import { MemoryStore, type Store, type Transaction } from "./store/store.ts";
import { SqliteStore } from "./store/sqlite/sqlite.ts";

/** Devices on a store, without a network. */
class Rig {
  readonly turn: Turn;
  readonly failures: (string | undefined)[] = [];

  constructor(readonly store: Store) {
    this.turn = new Turn(store, (error) => this.failures.push(error?.code));
  }

  /** A device that has sent this. */
  device(id: string, ...texts: string[]): Device {
    const record = this.store.get(id) ?? this.store.create(id);
    for (const text of texts) record.receive(text);
    this.store.commit();
    return new Device(id, new Session(record, 2000, defaultLimits), this.turn, () => 0);
  }

  waiting(id: string): string[] {
    return this.store.get(id)!.inbox;
  }
}

/** Counts commits, and is full when told so. */
class TestStore extends SqliteStore {
  commits = 0;

  override commit(): void {
    super.commit();
    this.commits++;
  }

  setUp(sql: string): void {
    this.db.exec(sql);
  }

  allow(pages: number): void {
    const { page_count: used } = this.db.prepare("PRAGMA page_count").get()!;
    this.db.exec(`PRAGMA max_page_count = ${Number(used) + pages}`);
  }

  rows(): unknown[] {
    return this.query("SELECT line FROM log ORDER BY rowid", [], "all").map(({ line }) => line);
  }
}

function consumeTest(
  name: string,
  fn: (rig: Rig, store: TestStore, path: string) => void | Promise<void>,
): void {
  Deno.test(`consume: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    const path = `${folder}/holdfast.db`;
    const store = new TestStore(path);
    try {
      store.setUp("CREATE TABLE log (line TEXT UNIQUE) STRICT");
      await fn(new Rig(store), store, path);
    } finally {
      store.close();
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** An application that writes down what it gets. */
function note(line: string, tx: Transaction): void {
  tx.run("INSERT INTO log VALUES (?)", line);
}

consumeTest("effects and position are there after a restart", async (rig, store, path) => {
  const device = rig.device("1", "a", "b", "c");
  await device.consume(note);
  await device.consume(async (line, tx) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    tx.run("CREATE TABLE more (line, length)");
    tx.run("INSERT INTO more VALUES (?, ?)", line, line.length);
    note(line, tx);
  });
  assertEquals(rig.waiting("1"), ["c"]);
  store.close();
  const again = new TestStore(path);
  assertEquals(again.get("1")!.inbox, ["c"]);
  assertEquals(again.rows(), ["a", "b"]);
  const rows = again.query("SELECT * FROM more", [], "all").map((row) => ({ ...row }));
  assertEquals(rows, [{ line: "b", length: 1 }]);
  again.close();
});

consumeTest("it waits for a message, and takes one at a time, in order", async (rig, store) => {
  const device = rig.device("1");
  const seen: string[] = [];
  const consumed = [1, 2].map(() =>
    device.consume(async (line, tx) => {
      seen.push(`${line} begins`);
      await new Promise((resolve) => setTimeout(resolve, 2));
      note(line, tx);
      seen.push(`${line} ends`);
    })
  );
  const read = device.readline().then((line) => seen.push(`${line} is read`));
  const record = store.get("1")!;
  for (const text of ["a", "b", "c", "d"]) record.receive(text);
  device.write("wakes the turn").catch(() => {});
  await Promise.all([...consumed, read]);
  const expected = ["a begins", "a ends", "b begins", "b ends", "c is read"];
  assertEquals(seen, expected);
  await device.consume(note); // c, which was read, is done by that
  assertEquals(rig.waiting("1"), []);
  assertEquals(store.rows(), ["a", "b", "d"]);
  device.close(new LocalError("CLOSED", "the end"));
});

consumeTest("if the function fails, nothing has happened", async (rig, store) => {
  const device = rig.device("1", "a", "b");
  for (let i = 0; i < 2; i++) {
    await assertRejects(
      () =>
        device.consume((line, tx) => {
          note(line, tx);
          throw new RangeError("no");
        }),
      RangeError,
    );
  }
  assertEquals(rig.waiting("1"), ["a", "b"]);
  assertEquals(store.rows(), []);
  assertEquals(await device.readline(), "a");
  await device.consume(note);
  assertEquals(store.rows(), ["b"]);
});

/** Consumes with statements that fail, and with others in the same commit. */
async function checkFailures(rig: Rig, store: TestStore, bad: string[]): Promise<void> {
  const results = await Promise.allSettled(
    bad.flatMap((sql, i) => [
      rig.device(`good ${i}`, `${i}`).consume(note),
      rig.device(`bad ${i}`, "x").consume((_, tx) => {
        tx.run("INSERT INTO log VALUES (?)", `before ${sql}`);
        tx.run(sql);
      }),
    ]),
  );
  for (const [i, result] of results.entries()) {
    assertEquals(result.status, i % 2 === 0 ? "fulfilled" : "rejected");
  }
  for (const i of bad.keys()) {
    assertEquals(rig.waiting(`bad ${i}`), ["x"]);
    assertEquals(rig.waiting(`good ${i}`), []);
  }
  assertEquals(store.rows(), ["taken", ...bad.map((_, i) => `${i}`)]);
  assertEquals(rig.failures, []);
}

consumeTest("if a statement fails, its message stays, and others go on", async (rig, store) => {
  store.setUp("INSERT INTO log VALUES ('taken')");
  const constraint = "INSERT INTO log VALUES ('taken')";
  await checkFailures(rig, store, [constraint, "INSERT INTO nowhere VALUES (1)", "GARBAGE"]);
});

consumeTest("a statement that ends the whole transaction harms no other", async (rig, store) => {
  store.setUp("INSERT INTO log VALUES ('taken')");
  store.setUp("CREATE TABLE one (x UNIQUE ON CONFLICT ROLLBACK); INSERT INTO one VALUES (1)");
  const orRollback = "INSERT OR ROLLBACK INTO log VALUES ('taken')";
  await checkFailures(rig, store, ["INSERT INTO one VALUES (1)", "GARBAGE", orRollback]);
});

consumeTest(
  "what a failed statement leaves is not in the file either",
  async (rig, store, path) => {
    const device = rig.device("1", "a", "a", "b");
    await device.consume(note);
    const error = await assertRejects(() => device.consume(note), Error);
    assertStringIncludes(error.message, "UNIQUE constraint failed: log.line");
    store.close();
    const again = new TestStore(path);
    assertEquals(again.get("1")!.inbox, ["a", "b"]);
    assertEquals(again.rows(), ["a"]);
    again.close();
  },
);

consumeTest("queries see what is committed", async (rig) => {
  const device = rig.device("1", "a", "b");
  await device.consume((line, tx) => {
    note(line, tx);
    assertEquals(tx.get("SELECT * FROM log"), undefined);
  });
  await device.consume((line, tx) => {
    assertEquals(line, "b");
    assertEquals({ ...tx.get("SELECT count(*) AS n FROM log WHERE line = ?", "a") }, { n: 1 });
    assertEquals(tx.all("WITH x AS (SELECT * FROM log) SELECT * FROM x").length, 1);
    assertEquals(tx.all("SELECT id FROM holdfast_devices").map(({ id }) => id), ["1"]);
  });
});

consumeTest("a query cannot change anything", async (rig, store) => {
  const device = rig.device("1", "a");
  await device.consume((_, tx) => {
    const refused = ["INSERT INTO log VALUES ('x') RETURNING line", "DELETE FROM log", "VACUUM", ""]
      .concat(
        "BEGIN",
        "COMMIT",
        "PRAGMA user_version = 7",
        "ATTACH '/tmp/x' AS x",
        "CREATE TABLE x (y)",
      );
    for (const sql of refused) {
      for (const method of ["get", "all"] as const) {
        assertEquals(assertThrows(() => tx[method](sql), LocalError).code, "BAD_ARGUMENT", sql);
      }
    }
    assertThrows(() => tx.get("SELECT * FROM nowhere"), Error, "no such table");
  });
  assertEquals(store.rows(), []);
});

consumeTest("statements cannot touch what is the store's", async (rig, store) => {
  const device = rig.device("1", "a");
  const refused = [
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "RELEASE holdfast_consumption",
    "VACUUM",
    "--",
  ]
    .concat("PRAGMA user_version = 7", "ATTACH '/tmp/x' AS x", "DELETE FROM holdfast_inbox")
    .concat("UPDATE HOLDFAST_devices SET id = 'x'", "DROP TABLE holdfast_heard")
    .concat("CREATE TABLE holdfast_mine (x)", "CREATE INDEX mine ON holdfast_inbox (text)")
    .concat("CREATE TRIGGER t AFTER INSERT ON holdfast_inbox BEGIN SELECT 1; END")
    .concat(
      "ALTER TABLE holdfast_inbox ADD COLUMN x",
      "WITH x AS (SELECT 1) DELETE FROM holdfast_outbox",
    );
  for (const sql of refused) {
    const error = await assertRejects(
      () => device.consume((_, tx) => tx.run(sql)),
      LocalError,
      undefined,
      sql,
    );
    assertEquals(error.code, "BAD_ARGUMENT");
    assertStringIncludes(error.message, "holdfast_");
  }
  assertEquals(rig.waiting("1"), ["a"]);
  await device.consume((_, tx) => {
    tx.run("CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log WHERE line = 'x;'; END;");
    tx.run("INSERT INTO log SELECT text || ';' FROM holdfast_inbox; -- done");
  });
  assertEquals(store.rows(), ["a;"]);
});

consumeTest("several statements in one call are refused, not ignored", async (rig, store) => {
  const device = rig.device("1", "a");
  await device.consume((_, tx) => {
    for (const method of ["run", "get", "all"] as const) {
      const several = () => tx[method]("SELECT 1; SELECT 2");
      assertEquals(assertThrows(several, LocalError).code, "BAD_ARGUMENT");
    }
    tx.run("INSERT INTO log /* ; x */ VALUES ('it''s; \";') ; ; -- ; x");
  });
  assertEquals(store.rows(), [`it's; ";`]);
});

consumeTest("after the function has ended, tx is over", async (rig, store) => {
  const device = rig.device("1", "a");
  let kept: Transaction | undefined;
  await device.consume((_, tx) => void (kept = tx));
  const error = assertThrows(() => note("late", kept!), LocalError);
  assertEquals(error.code, "BAD_ARGUMENT");
  assertStringIncludes(error.message, "has ended");
  assertEquals(store.rows(), []);
});

consumeTest("many devices share a commit", async (rig, store) => {
  const devices = Array.from({ length: 300 }, (_, i) => rig.device(`${i}`, `from ${i}`, "next"));
  const before = store.commits;
  await Promise.all(devices.map((device) => device.consume(note)));
  assertEquals(store.rows().length, 300);
  for (const device of devices) assertEquals(rig.waiting(device.id), ["next"]);
  assertEquals(store.commits - before <= 3, true);
});

consumeTest("on a full disk it waits until there is room", async (rig, store) => {
  const device = rig.device("1", "a", "b");
  store.allow(0);
  const long = "x".repeat(100_000);
  let done = false;
  const consumed = device.consume((_, tx) => {
    tx.run("INSERT INTO log VALUES ('short')");
    for (let i = 0; i < 10; i++) rig.store.get("1")!.receive(long);
  }).then(() => done = true);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals([done, rig.waiting("1").length, store.rows()], [false, 12, []]);
  assertEquals(rig.failures, ["STORE_FAILED"]);
  store.allow(10_000);
  await consumed;
  assertEquals(rig.waiting("1").slice(0, 1), ["b"]);
  assertEquals(store.rows(), ["short"]);
  assertEquals(rig.failures, ["STORE_FAILED", undefined]);
});

consumeTest("closing while the function runs: nothing has happened", async (rig, store) => {
  const device = rig.device("1", "a");
  const running = Promise.withResolvers<void>();
  const consumed = device.consume(async (line, tx) => {
    note(line, tx);
    await running.promise;
  });
  await Promise.resolve();
  device.close(new LocalError("CLOSED", "the end"));
  running.resolve();
  assertEquals((await assertRejects(() => consumed, LocalError)).code, "CLOSED");
  const late = await assertRejects(() => device.consume(note), LocalError);
  assertEquals(late.code, "CLOSED");
  assertEquals(rig.waiting("1"), ["a"]);
  assertEquals(store.rows(), []);
});

consumeTest("closing while it waits for its commit: it is done", async (rig, store, path) => {
  const device = rig.device("1", "a", "b");
  const consumed = device.consume(note);
  for (let i = 0; i < 5; i++) await Promise.resolve(); // the function has returned
  device.close(new LocalError("CLOSED", "the end"));
  rig.turn.close();
  store.close();
  await consumed;
  const again = new TestStore(path);
  assertEquals([again.get("1")!.inbox, again.rows()], [["b"], ["a"]]);
  again.close();
});

Deno.test("consume: works with a store in memory, but for SQL", async () => {
  const rig = new Rig(new MemoryStore());
  const device = rig.device("1", "a", "b", "c");
  const seen: string[] = [];
  await device.consume((line) => void seen.push(line));
  for (const method of ["run", "get", "all"] as const) {
    const error = await assertRejects(
      () => device.consume((_, tx) => void tx[method]("SELECT 1")),
      LocalError,
    );
    assertEquals(error.code, "BAD_ARGUMENT");
    assertStringIncludes(error.message, "this store has no database");
  }
  await device.consume((line) => void seen.push(line));
  assertEquals([seen, rig.waiting("1")], [["a", "b"], ["c"]]);
});
