import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { LocalError } from "../../protocol/errors.ts";
import { MemoryStore, WITHDRAWN } from "../store.ts";
import { SqliteStore } from "./sqlite.ts";
import { IDS, snapshot, snapshots, step } from "./sqlite_test_steps.ts";

/** Runs a test with a path in a folder of its own. */
function storeTest(name: string, fn: (path: string, folder: string) => void | Promise<void>): void {
  Deno.test(`sqlite store: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      await fn(`${folder}/holdfast.db`, folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

function reopened<T>(path: string, fn: (store: SqliteStore) => T): T {
  const store = new SqliteStore(path);
  try {
    return fn(store);
  } finally {
    store.close();
  }
}

function assertUnusable(path: string, ...parts: string[]): void {
  const error = assertThrows(() => new SqliteStore(path), LocalError);
  assertEquals(error.code, "STORE_UNUSABLE");
  for (const part of [JSON.stringify(path), ...parts]) assertStringIncludes(error.message, part);
}

storeTest("every kind of change comes back, whatever was committed in between", (path) => {
  for (const every of [1, 2, 7, 400]) {
    const model = new MemoryStore();
    let store = new SqliteStore(`${path}${every}`);
    for (let i = 1; i <= 400; i++) {
      step(model, i, 10);
      step(store, i, 10);
      if (i % every === 0) store.commit();
      if (i % 39 === 0) {
        store.close();
        store = new SqliteStore(`${path}${every}`);
        assertEquals(snapshots(store), snapshots(model), `after ${i} steps`);
        for (const id of IDS) assertEquals(store.get(id)!.safe, store.get(id)!.inbox.length);
      }
    }
    assertEquals([...store.ids], IDS);
    assertEquals(store.size, IDS.length);
    store.close();
  }
});

storeTest("texts come back to the letter", (path) => {
  const texts = [
    "\0x\0y",
    "\u{1F600}\ufeff",
    "\ufeffBOM",
    `"'\\;--`,
    "\x01\x7f\u2028",
    "é".repeat(9000),
  ];
  const before = reopened(path, (store) => {
    const record = store.create("1");
    for (const text of texts) {
      record.receive(text);
      record.write(text, { overtakes: false, qos: true }, 0);
    }
    record.withdraw(record.outbox[1]!);
    return snapshot(record);
  });
  reopened(path, (store) => {
    assertEquals(snapshot(store.get("1")!), before);
    assertEquals(store.get("1")!.inbox, texts);
    assertEquals(store.get("1")!.outbox[1]!.text, WITHDRAWN);
  });
});

storeTest("a repeat is known after a restart, and a new message is none", (path) => {
  reopened(path, (store) => {
    const record = store.create("1");
    record.change({ connects: 3 });
    for (const [id, text] of ["boot", "one", "two"].entries()) record.hear(id, text);
  });
  reopened(path, (store) => {
    const { duplicates, positions: { connects } } = store.get("1")!;
    assert(duplicates.isRepeat(1, "one", connects));
    assert(duplicates.isRepeat(2, "two", connects + 1));
    assert(!duplicates.isRepeat(2, "zwei", connects));
    assert(!duplicates.isRepeat(3, "three", connects));
    store.get("1")!.change({ connects: 4 });
    store.get("1")!.hear(0, "booted");
  });
  reopened(path, (store) => {
    assert(!store.get("1")!.duplicates.isRepeat(1, "one", 3), "id 00 has forgotten it");
    assert(store.get("1")!.duplicates.isRepeat(0, "booted", 4));
  });
});

storeTest("messages are safe after the commit, and not before", (path) => {
  const store = new SqliteStore(path);
  const record = store.create("1");
  record.receive("a");
  assertEquals(record.safe, 0);
  store.commit();
  assertEquals(record.safe, 1);
  record.receive("b");
  record.process();
  assertEquals(record.safe, 0);
  store.commit();
  assertEquals([record.safe, record.inbox], [1, ["b"]]);
  store.close();
});

storeTest("10,000 devices", (path) => {
  const ids = Array.from({ length: 10_000 }, (_, i) => `device ${i}`);
  reopened(path, (store) => {
    for (const id of ids) store.create(id).receive(`hello from ${id}`);
    store.commit();
    for (const id of ids) {
      store.get(id)!.process();
      store.get(id)!.receive("2");
    }
  });
  reopened(path, (store) => {
    assertEquals([...store.ids], ids);
    for (const id of ids) assertEquals(store.get(id)!.inbox, ["2"]);
    store.create("one more");
  });
  reopened(path, (store) => assertEquals([...store.ids], [...ids, "one more"]));
});

storeTest("the file stays small, however much passes through it", (path) => {
  const store = new SqliteStore(path, { durability: "normal" });
  const text = "x".repeat(100);
  for (let i = 0; i < 100_000; i++) {
    const record = store.get(`${i % 10}`) ?? store.create(`${i % 10}`);
    record.hear(i % 255 + 1, `${i}`);
    record.receive(text);
    record.write(text, { overtakes: false, qos: true }, 0);
    if (i % 500 === 0) {
      store.commit();
      for (const id of store.ids) {
        const record = store.get(id)!;
        while (record.safe > 0) record.process();
        while (record.outbox.length > 5) record.settle();
      }
    }
  }
  store.commit();
  assertLess(Deno.statSync(path).size, 1024 * 1024);
  assertLess(Deno.statSync(`${path}-wal`).size, 9 * 1024 * 1024);
  // A transaction of any size makes the log longer only for a while.
  const record = store.get("1")!;
  const long = "x".repeat(10_000);
  const grow = () => {
    for (let i = 0; i < 3000; i++) record.receive(long);
    store.commit();
    while (record.inbox.length > 0) record.process();
  };
  grow();
  for (let i = 0; i < 10; i++) {
    record.change({ rxNext: i });
    store.commit();
  }
  assertLess(Deno.statSync(`${path}-wal`).size, 9 * 1024 * 1024);
  const { size } = Deno.statSync(path);
  grow();
  store.close();
  assertLess(Deno.statSync(path).size, size * 1.1, "what became free is used again");
});

storeTest("nothing changed, nothing is written", (path) => {
  const store = new SqliteStore(path);
  const record = store.create("1");
  record.receive("a");
  store.commit();
  const { size } = Deno.statSync(`${path}-wal`);
  store.commit();
  assertEquals(Deno.statSync(`${path}-wal`).size, size);
  store.close();
  assertEquals([...Deno.readDirSync(path.replace(/[^/]*$/, ""))].map(({ name }) => name), [
    "holdfast.db",
  ]);
  store.commit();
  store.close();
  record.receive("b");
  assertEquals(assertThrows(() => store.commit(), LocalError).code, "STORE_FAILED");
});

storeTest("a new file is its owner's alone", (path) => {
  reopened(path, () => {
    if (Deno.build.os === "windows") return;
    for (const file of [path, `${path}-wal`]) {
      assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
    }
  });
});

storeTest("an empty file becomes a store", (path) => {
  Deno.writeTextFileSync(path, "");
  reopened(path, (store) => store.create("1"));
  reopened(path, (store) => assertEquals(store.size, 1));
});

storeTest("names that SQLite would take for something else are files", (_, folder) => {
  const before = Deno.cwd();
  Deno.chdir(folder);
  try {
    for (const name of [":memory:", "file:x?mode=memory"]) {
      reopened(name, (store) => store.create("1"));
      reopened(name, (store) => assertEquals(store.size, 1));
      assert(Deno.statSync(name).size > 0);
    }
  } finally {
    Deno.chdir(before);
  }
});

storeTest("what is no store is refused, and left as it is", (path, folder) => {
  const contents = {
    text: new TextEncoder().encode("Dear diary,\n".repeat(100)),
    short: new Uint8Array([1, 2, 3]),
    zeros: new Uint8Array(8192),
  };
  for (const [name, bytes] of Object.entries(contents)) {
    Deno.writeFileSync(`${path}-${name}`, bytes);
    assertUnusable(`${path}-${name}`, "some other file", "choose another path");
    assertEquals(Deno.readFileSync(`${path}-${name}`), bytes);
  }
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  assertEquals(names, ["holdfast.db-short", "holdfast.db-text", "holdfast.db-zeros"]);
});

storeTest("another program's database is refused, and left as it is", (path, folder) => {
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

storeTest(
  "a store of schema 1 is upgraded: what it holds may have been sent, what comes later not",
  (path) => {
    reopened(path, (store) => {
      const record = store.create("1");
      record.change({ txNext: 2 ** 32 - 1, txSent: 7 });
      for (const text of ["a", "b"]) record.write(text, { overtakes: false, qos: true }, 0);
      store.commit();
    });
    const db = new DatabaseSync(path);
    db.exec(`ALTER TABLE holdfast_outbox DROP COLUMN written;
      ALTER TABLE holdfast_devices DROP COLUMN tx_sent; PRAGMA user_version = 1`);
    db.close();
    reopened(path, (store) => {
      const record = store.get("1")!;
      assertEquals([record.positions.txSent, record.sent], [1, 2]);
      record.write("c", { overtakes: false, qos: true }, 0);
      store.commit();
    });
    reopened(path, (store) => assertEquals(store.get("1")!.sent, 2));
  },
);

/** Ages in ms of the messages that wait for device 1. */
function agesIn(path: string): number[] {
  return reopened(path, (store) => {
    return store.get("1")!.outbox.map(({ written }) => performance.now() - written);
  });
}

function changed(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

const HOUR = 3_600_000;

storeTest(
  "when a message was written outlives the process, whatever its clock began at",
  (path) => {
    reopened(path, (store) => {
      const record = store.create("1");
      const now = performance.now();
      for (const ago of [2 * HOUR, HOUR, 0]) {
        record.write("text", { overtakes: false, qos: true }, now - ago);
      }
      record.giveId(record.outbox[0]);
      store.commit();
      record.withdraw(record.outbox[1]!); // written again, and no younger
    });
    for (const [i, age] of agesIn(path).entries()) {
      const least = [2 * HOUR, HOUR, 0][i]!;
      assert(age >= least - 1 && age < least + HOUR / 2, `${age} ms`);
    }
  },
);

storeTest("a message that the clock says is not written yet was written now", (path) => {
  reopened(path, (store) => {
    store.create("1").write("text", { overtakes: false, qos: true }, performance.now());
  });
  changed(path, `UPDATE holdfast_outbox SET written = written + ${HOUR}`);
  const [age] = agesIn(path);
  assert(age! >= 0 && age! < HOUR / 2, `${age} ms`);
});

storeTest("messages of schema 2, which knew no times, count from the upgrade", (path) => {
  reopened(path, (store) => {
    store.create("1").write("text", { overtakes: false, qos: true }, performance.now() - HOUR);
  });
  changed(path, "ALTER TABLE holdfast_outbox DROP COLUMN written; PRAGMA user_version = 2");
  const [age] = agesIn(path);
  assert(age! > -1 && age! < HOUR / 2, `${age} ms`);
  changed(path, `UPDATE holdfast_outbox SET written = written - ${HOUR}`); // an hour passes
  assert(agesIn(path)[0]! >= HOUR - 1, "and go on counting");
});

storeTest("a newer store is refused, and left as it is", (path) => {
  reopened(path, () => {});
  const db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 99");
  db.close();
  const before = Deno.readFileSync(path);
  assertUnusable(path, "newer Holdfast", "schema 99");
  assertEquals(Deno.readFileSync(path), before);
});

storeTest("a damaged store is refused", (path) => {
  reopened(path, (store) => {
    for (let i = 0; i < 1000; i++) store.create(`${i}`).receive("x".repeat(100));
  });
  const whole = Deno.readFileSync(path);
  for (const [from, to] of [[4096, 8192], [20_000, 60_000], [100, 4096]]) {
    const bytes = whole.slice();
    bytes.fill(0x5a, from, to);
    Deno.writeFileSync(path, bytes);
    assertUnusable(path, "is damaged", "put back a copy");
  }
  Deno.writeFileSync(path, whole.subarray(0, whole.length >> 1));
  assertUnusable(path, "is damaged");
  Deno.writeFileSync(path, whole);
  reopened(path, (store) => assertEquals(store.size, 1000));
});

storeTest("records that contradict each other are refused", (path) => {
  const damage = {
    "DELETE FROM holdfast_inbox WHERE number = 1": "a message of device 1 is missing",
    "DELETE FROM holdfast_outbox WHERE number = 2": "a message of device 1 is missing",
    "DELETE FROM holdfast_devices": "device 1 is missing",
  };
  for (const [i, [sql, message]] of Object.entries(damage).entries()) {
    reopened(`${path}${i}`, (store) => {
      const record = store.create("1");
      for (const text of ["a", "b", "c"]) {
        record.receive(text);
        record.write(text, { overtakes: false, qos: true }, 0);
      }
    });
    const db = new DatabaseSync(`${path}${i}`);
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

storeTest("is refused to a second server in the same process, by any name", (path) => {
  const store = new SqliteStore(path);
  assertUnusable(path, "in use");
  if (Deno.build.os !== "windows") {
    Deno.symlinkSync(path, `${path}-link`);
    assertUnusable(`${path}-link`, "in use");
  }
  store.create("1").receive("a");
  store.close();
  reopened(path, (store) => assertEquals(store.get("1")!.inbox, ["a"]));
});

storeTest("without permission from Deno it says which is needed", async (path) => {
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
