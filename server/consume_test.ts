/** `Device.consume` and `Server.transaction`: a message and its effects in one transaction. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { ManualServer } from "../tests/support/manual_server.ts";
import type { ManualSocket } from "../tests/support/manual_platform.ts";
import type { Device } from "./device.ts";
import { LocalError } from "./protocol/errors.ts";
import { MemoryStore } from "./store/memory.ts";
import { SqliteStore } from "./store/sqlite/sqlite.ts";
import type { Batch, Store } from "./store/store.ts";
import type { Transaction } from "./store/transaction.ts";

/** Counts commits, and fails as a full disk does while `full` is set. */
class TestStore extends SqliteStore {
  commits = 0;
  full = false;

  override async commit(batch: Batch) {
    if (this.full) throw new LocalError("STORE_FAILED", "no room left");
    const refused = await super.commit(batch);
    this.commits++;
    return refused;
  }

  async rows(): Promise<unknown[]> {
    const rows = await this.query("SELECT line FROM log ORDER BY rowid", [], "all");
    return rows.map(({ line }) => line);
  }
}

/** A server on a store, and devices that have sent given messages. */
class Rig {
  readonly sockets = new Map<string, ManualSocket>();

  private constructor(readonly scene: ManualServer, readonly store: Store) {}

  static async start(store: Store): Promise<Rig> {
    return new Rig(await ManualServer.start({ store }), store);
  }

  /** A device that has sent these messages. */
  async device(id: string, ...texts: string[]): Promise<Device> {
    const socket = await this.scene.knock(`${id}\n`);
    await this.scene.platform.advance(1); // some begin their greeting within a ms
    this.sockets.set(id, socket);
    for (const [i, text] of texts.entries()) {
      await this.scene.says(socket, `${i.toString(16).padStart(2, "0")}${text}\n`);
    }
    return await this.scene.server.device(id);
  }

  /** Lets turns of the event loop pass until this is settled, and time if they do not help. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = () => void (over = true);
    promise.then(end, end);
    for (let turns = 0; !over; turns++) {
      if (turns > 2000) throw new Error("it does not come to an end within half an hour");
      if (turns < 20) await this.scene.platform.turn();
      else await this.scene.platform.advance(1000);
    }
    return await promise;
  }

  consume(device: Device, use: (line: string, tx: Transaction) => Promise<void> | void) {
    return this.settled(device.consume(use));
  }

  waiting(id: string): number {
    return this.scene.server.devices.find((device) => device.id === id)!.inbox;
  }

  /** The store's warnings. */
  get failures(): string[] {
    return this.scene.log.filter((entry) => entry.startsWith("store"));
  }
}

function consumeTest(
  name: string,
  fn: (rig: Rig, store: TestStore, path: string) => Promise<void>,
  ...setUp: string[]
): void {
  Deno.test(`consume: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    const path = `${folder}/holdfast.db`;
    const store = new TestStore(path);
    const rig = await Rig.start(store);
    try {
      await rig.settled(rig.scene.server.transaction((tx) => {
        for (const sql of ["CREATE TABLE log (line TEXT UNIQUE) STRICT", ...setUp]) tx.run(sql);
      }));
      await fn(rig, store, path);
    } finally {
      await rig.scene.server.close();
      await store.close();
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

function open(path: string): DatabaseSync & Disposable {
  const db = new DatabaseSync(path);
  return Object.assign(db, { [Symbol.dispose]: () => db.close() });
}

/** The file's content, as a newly opened store reads it. */
async function reopened(path: string, id: string): Promise<{ inbox: string[]; rows: unknown[] }> {
  const store = new TestStore(path);
  const { state } = await store.acquire(id);
  const rows = await store.rows();
  await store.close();
  return { inbox: state!.inbox, rows };
}

/** An application that stores what it gets. */
function note(line: string, tx: Transaction): void {
  tx.run("INSERT INTO log VALUES (?)", line);
}

consumeTest("effects and position are there after a restart", async (rig, store, path) => {
  const device = await rig.device("1", "a", "b", "c");
  await rig.consume(device, note);
  await rig.consume(device, async (line, tx) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    tx.run("CREATE TABLE more (line, length)");
    tx.run("INSERT INTO more VALUES (?, ?)", line, line.length);
    note(line, tx);
  });
  assertEquals(rig.waiting("1"), 1);
  await rig.scene.server.close();
  await store.close();
  assertEquals(await reopened(path, "1"), { inbox: ["c"], rows: ["a", "b"] });
  using db = open(path);
  assertEquals({ ...db.prepare("SELECT * FROM more").get() }, { line: "b", length: 1 });
});

consumeTest("it waits for a message, and takes one at a time, in order", async (rig, store) => {
  const device = await rig.device("1");
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
  await rig.scene.says(rig.sockets.get("1")!, "00a\n01b\n02c\n03d\n");
  await rig.settled(Promise.all([...consumed, read]));
  assertEquals(seen, ["a begins", "a ends", "b begins", "b ends", "c is read"]);
  await rig.consume(device, note); // this also completes c, which was read
  assertEquals(rig.waiting("1"), 0);
  assertEquals(await store.rows(), ["a", "b", "d"]);
});

consumeTest("if the function fails, nothing has happened", async (rig, store) => {
  const device = await rig.device("1", "a", "b");
  for (let i = 0; i < 2; i++) {
    await assertRejects(
      () =>
        rig.consume(device, (line, tx) => {
          note(line, tx);
          throw new RangeError("no");
        }),
      RangeError,
    );
  }
  assertEquals(rig.waiting("1"), 2);
  assertEquals(await store.rows(), []);
  assertEquals(await device.readline(), "a");
  await rig.consume(device, note);
  assertEquals(await store.rows(), ["b"]);
});

const TAKEN = "INSERT INTO log VALUES ('taken')";

/** Consumes with statements that fail, and with others in the same commit. */
async function checkFailures(rig: Rig, store: TestStore, bad: string[]): Promise<void> {
  const pairs: [Device, Device, string][] = [];
  for (const [i, sql] of bad.entries()) {
    pairs.push([await rig.device(`good ${i}`, `${i}`), await rig.device(`bad ${i}`, "x"), sql]);
  }
  const consumed = pairs.flatMap(([good, other, sql]) => [
    good.consume(note),
    other.consume((_, tx) => {
      tx.run("INSERT INTO log VALUES (?)", `before ${sql}`);
      tx.run(sql);
    }),
  ]);
  const results = await rig.settled(Promise.allSettled(consumed));
  for (const [i, result] of results.entries()) {
    assertEquals(result.status, i % 2 === 0 ? "fulfilled" : "rejected");
  }
  for (const i of bad.keys()) {
    assertEquals([rig.waiting(`bad ${i}`), rig.waiting(`good ${i}`)], [1, 0]);
  }
  assertEquals(await store.rows(), ["taken", ...bad.map((_, i) => `${i}`)]);
  assertEquals(rig.failures, []);
}

consumeTest(
  "if a statement fails, its message stays, and others go on",
  (rig, store) => checkFailures(rig, store, [TAKEN, "INSERT INTO nowhere VALUES (1)", "GARBAGE"]),
  TAKEN,
);

consumeTest(
  "a statement that ends the whole transaction harms no other",
  (rig, store) => {
    const orRollback = "INSERT OR ROLLBACK INTO log VALUES ('taken')";
    return checkFailures(rig, store, ["INSERT INTO one VALUES (1)", "GARBAGE", orRollback]);
  },
  TAKEN,
  "CREATE TABLE one (x UNIQUE ON CONFLICT ROLLBACK)",
  "INSERT INTO one VALUES (1)",
);

consumeTest(
  "the effects of a failed statement are not in the file either",
  async (rig, store, path) => {
    const device = await rig.device("1", "a", "a", "b");
    await rig.consume(device, note);
    const error = await assertRejects(() => rig.consume(device, note), Error);
    assertStringIncludes(error.message, "UNIQUE constraint failed: log.line");
    await rig.scene.server.close();
    await store.close();
    assertEquals(await reopened(path, "1"), { inbox: ["a", "b"], rows: ["a"] });
  },
);

consumeTest("queries see what is committed", async (rig) => {
  const device = await rig.device("1", "a", "b");
  await rig.consume(device, async (line, tx) => {
    note(line, tx);
    assertEquals(await tx.get("SELECT * FROM log"), undefined);
  });
  await rig.consume(device, async (line, tx) => {
    assertEquals(line, "b");
    const counted = await tx.get("SELECT count(*) AS n FROM log WHERE line = ?", "a");
    assertEquals({ ...counted }, { n: 1 });
    const rows = await tx.all("WITH x AS (SELECT * FROM log) SELECT * FROM x");
    assertEquals(rows.length, 1);
    const devices = await tx.all("SELECT id FROM holdfast_devices");
    assertEquals(devices.map(({ id }) => id), ["1"]);
  });
});

consumeTest("a query cannot change anything", async (rig, store) => {
  const device = await rig.device("1", "a");
  await rig.consume(device, async (_, tx) => {
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
        const error = await assertRejects(() => tx[method](sql), LocalError, undefined, sql);
        assertEquals(error.code, "BAD_ARGUMENT", sql);
      }
    }
    await assertRejects(() => tx.get("SELECT * FROM nowhere"), Error, "no such table");
  });
  assertEquals(await store.rows(), []);
});

consumeTest(
  "statements cannot touch the store's own tables or its transaction",
  async (rig, store) => {
    const device = await rig.device("1", "a");
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
        () => rig.consume(device, (_, tx) => tx.run(sql)),
        LocalError,
        undefined,
        sql,
      );
      assertEquals(error.code, "BAD_ARGUMENT");
      assertStringIncludes(error.message, "holdfast_");
    }
    assertEquals(rig.waiting("1"), 1);
    await rig.consume(device, (_, tx) => {
      tx.run("CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log WHERE line = 'x;'; END;");
      tx.run("INSERT INTO log SELECT text || ';' FROM holdfast_inbox; -- done");
    });
    assertEquals(await store.rows(), ["a;"]);
  },
);

consumeTest("several statements in one call are refused, not ignored", async (rig, store) => {
  const device = await rig.device("1", "a");
  await rig.consume(device, async (_, tx) => {
    assertEquals(
      assertThrows(() => tx.run("SELECT 1; SELECT 2"), LocalError).code,
      "BAD_ARGUMENT",
    );
    for (const method of ["get", "all"] as const) {
      const several = () => tx[method]("SELECT 1; SELECT 2");
      assertEquals((await assertRejects(several, LocalError)).code, "BAD_ARGUMENT");
    }
    tx.run("INSERT INTO log /* ; x */ VALUES ('it''s; \";') ; ; -- ; x");
  });
  assertEquals(await store.rows(), [`it's; ";`]);
});

consumeTest("after the function has ended, tx refuses every call", async (rig, store) => {
  const device = await rig.device("1", "a");
  let kept: Transaction | undefined;
  await rig.consume(device, (_, tx) => void (kept = tx));
  const error = assertThrows(() => note("late", kept!), LocalError);
  assertEquals(error.code, "BAD_ARGUMENT");
  assertStringIncludes(error.message, "has ended");
  assertEquals(await store.rows(), []);
});

consumeTest("many devices share a commit", async (rig, store) => {
  const devices: Device[] = [];
  for (let i = 0; i < 300; i++) devices.push(await rig.device(`${i}`, `from ${i}`, "next"));
  const before = store.commits;
  await rig.settled(Promise.all(devices.map((device) => device.consume(note))));
  assertEquals((await store.rows()).length, 300);
  for (const device of devices) assertEquals(device.inbox, 1);
  assertEquals(store.commits - before <= 3, true);
});

consumeTest("while the store fails it waits, and nothing has happened", async (rig, store) => {
  const device = await rig.device("1", "a", "b");
  store.full = true;
  let done = false;
  const consumed = device.consume(note).then(() => done = true);
  for (let n = 0; n < 5; n++) await rig.scene.platform.advance(1000);
  assertEquals([done, rig.waiting("1"), await store.rows()], [false, 2, []]);
  assertEquals(rig.failures, ["store STORE_FAILED"]);
  store.full = false;
  await rig.scene.platform.advance(1000);
  await rig.settled(consumed);
  assertEquals([rig.waiting("1"), await store.rows()], [1, ["a"]]);
  assertEquals(rig.failures, ["store STORE_FAILED", "store"]);
});

consumeTest("closing while the function runs: nothing has happened", async (rig, _, path) => {
  const device = await rig.device("1", "a");
  const running = Promise.withResolvers<void>();
  const consumed = device.consume(async (line, tx) => {
    note(line, tx);
    await running.promise;
  });
  await Promise.resolve();
  const closed = rig.scene.server.close();
  running.resolve();
  assertEquals((await assertRejects(() => rig.settled(consumed), LocalError)).code, "CLOSED");
  const late = await assertRejects(() => rig.consume(device, note), LocalError);
  assertEquals(late.code, "CLOSED");
  await closed;
  await rig.store.close();
  assertEquals(await reopened(path, "1"), { inbox: ["a"], rows: [] });
});

consumeTest("closing while it waits for its commit: it is done", async (rig, store, path) => {
  const device = await rig.device("1", "a", "b");
  const consumed = device.consume(note);
  for (let i = 0; i < 5; i++) await Promise.resolve(); // the function has returned
  await rig.scene.server.close();
  await consumed;
  await store.close();
  assertEquals(await reopened(path, "1"), { inbox: ["b"], rows: ["a"] });
});

consumeTest("a transaction without a message: all of it, or nothing", async (rig, store) => {
  const device = await rig.device("1");
  await rig.settled(rig.scene.server.transaction((tx) => {
    note("kept", tx);
    tx.write("1", "to the device");
  }));
  assertEquals([await store.rows(), device.outbox], [["kept"], 1]);
  const failing = rig.scene.server.transaction((tx) => {
    tx.write("1", "never");
    note("kept", tx); // UNIQUE
  });
  failing.catch(() => {});
  await assertRejects(() => rig.settled(failing), Error, "UNIQUE constraint failed");
  assertEquals([await store.rows(), device.outbox], [["kept"], 1]);
  await rig.scene.says(rig.sockets.get("1")!, "\n");
  assertEquals(rig.sockets.get("1")!.written.includes("never"), false);
});

Deno.test("consume: works with a store in memory, except for SQL", async () => {
  const rig = await Rig.start(new MemoryStore());
  await using _ = rig.scene;
  const device = await rig.device("1", "a", "b", "c");
  const seen: string[] = [];
  await rig.consume(device, (line) => void seen.push(line));
  for (const method of ["run", "get", "all"] as const) {
    const error = await assertRejects(
      () => rig.consume(device, async (_, tx) => void await tx[method]("SELECT 1")),
      LocalError,
    );
    assertEquals(error.code, "BAD_ARGUMENT");
    assertStringIncludes(error.message, "this store has no database");
  }
  await rig.consume(device, (line) => void seen.push(line));
  assertEquals([seen, rig.waiting("1")], [["a", "b"], 1]);
});
