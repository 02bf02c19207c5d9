/** The file of a client's memory: what it keeps, and what it refuses. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { smallDiskTest } from "../../tests/support/small_disk.ts";
import { Client, type ClientOptions, LocalError } from "./mod.ts";
import type { KeptMessage, MemoryChange } from "./memory.ts";
import { MemoryFile } from "./memory_file.ts";

function fileTest(name: string, run: (path: string, folder: string) => void | Promise<void>): void {
  Deno.test(`client memory: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      await run(`${folder}/client.state`, folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

const bytes = (text: string) => new TextEncoder().encode(text);

const change: MemoryChange = {
  progress: { position: { epoch: 1, next: 0 } },
  clock: { time: 0, date: 0 },
  epoch: 2,
  first: 0,
  next: 0,
  withdrawn: [],
  written: [],
};

const MOST = 2 ** 32 - 1;

/** Makes a file of an earlier version. @param row Further columns of its client, or other values for these */
function makeOld(
  path: string,
  version: 1 | 2 | 3,
  row: Record<string, string | number>,
  message?: KeptMessage,
): void {
  const held = version === 2 ? "held TEXT" : "held BLOB";
  const clock = "time INTEGER NOT NULL DEFAULT 0, date INTEGER NOT NULL DEFAULT 0";
  const db = new DatabaseSync(path);
  db.exec(`
    PRAGMA application_id = ${0x48464d33};
    CREATE TABLE client (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      id BLOB NOT NULL,
      rx_epoch INTEGER NOT NULL, rx_next INTEGER NOT NULL, processed TEXT NOT NULL,
      tx_epoch INTEGER NOT NULL, tx_first INTEGER NOT NULL, tx_next INTEGER NOT NULL
      ${version === 1 ? "" : `, ${clock}, ${held}`}
    ) STRICT;
    CREATE TABLE outbox (
      number INTEGER PRIMARY KEY, text BLOB NOT NULL ${version === 1 ? "" : ", expires INTEGER"}
    ) STRICT;
    PRAGMA user_version = ${version};`);
  const all = { one: 1, id: bytes("1"), rx_epoch: 1, tx_epoch: 2, tx_first: 5, tx_next: 9, ...row };
  const [names, values] = [Object.keys(all), Object.values(all)];
  db.prepare(`INSERT INTO client (${names}) VALUES (${names.map(() => "?")})`).run(...values);
  if (message) {
    db.prepare("INSERT INTO outbox (number, text) VALUES (?, ?)").run(message.number, message.text);
  }
  db.close();
}

/** What another process would find. */
function found(path: string) {
  using file = new MemoryFile(path, "1");
  return file.kept;
}

function refused(path: string, ...parts: string[]): void {
  const error = assertThrows(() => new Client({ id: "1", memory: path }), LocalError);
  assertEquals(error.code, "STORE_UNUSABLE");
  for (const part of [JSON.stringify(path), ...parts]) assertStringIncludes(error.message, part);
}

fileTest(
  "only its owner may read or write the file, and it keeps what was committed last",
  (path) => {
    assertEquals(found(path), undefined);
    const last = {
      progress: { position: { epoch: MOST, next: MOST } },
      epoch: MOST,
    };
    {
      using file = new MemoryFile(path, "1");
      const written = [0, 1, 3].map((number) => ({ number, text: bytes(`text ${number}`) }));
      file.commit({ ...change, next: 4, written });
      file.commit({ ...change, next: 2 ** 32 + 2, first: 1, withdrawn: [3], written: [] });
      const beyond = [{ number: 2 ** 32 + 2, text: bytes("a NUL \0 inside") }];
      file.commit({ ...change, ...last, first: 1, next: 2 ** 32 + 3, written: beyond });
    }
    const { progress, outbox } = found(path)!;
    assertEquals(progress, last.progress);
    assertEquals([outbox.epoch, outbox.first, outbox.next], [MOST, 1, 2 ** 32 + 3]);
    assertEquals(
      outbox.messages.map(({ number, text }) => [number, new TextDecoder().decode(text)]),
      [[1, "text 1"], [2 ** 32 + 2, "a NUL \0 inside"]],
    );
    if (Deno.build.os !== "windows") assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  },
);

fileTest(
  "messages that the application has when its process ends are kept, and an outbox may be empty",
  (path) => {
    for (const held of ["a NUL \0 inside", "\ufeffa mark", "", undefined]) {
      {
        using file = new MemoryFile(path, "1");
        const progress = { ...change.progress, ...(held !== undefined && { held }) };
        file.commit({ ...change, progress, first: 7, next: 7 });
      }
      const { progress, outbox } = found(path)!;
      assertEquals([progress.held, "held" in progress], [held, held !== undefined]);
      assertEquals([outbox.first, outbox.next, outbox.messages], [7, 7, []]);
    }
  },
);

fileTest("a held message in a file of version 2 is read, also one with a NUL", (path) => {
  const held = "a NUL \0 inside";
  makeOld(path, 2, { rx_next: 0, processed: "0", time: 3, date: 4, held });
  const { progress, clock } = found(path)!;
  assertEquals([progress.held, clock], [held, { time: 3, date: 4 }]);
});

fileTest(
  "a message that an earlier version had processed, but not acknowledged, counts as taken",
  (path) => {
    const cases = [[7, "0", 7], [7, "1234567890123456789", 8], [MOST, "5", 0]] as const;
    for (const [rx_next, processed, expected] of cases) {
      makeOld(path, 3, { rx_epoch: 9, rx_next, processed });
      assertEquals(found(path)!.progress, { position: { epoch: 9, next: expected } });
      Deno.removeSync(path);
    }
  },
);

fileTest("closing a memory twice does not unlock another process's", (path) => {
  const first = new MemoryFile(path, "1");
  first.close();
  using _ = new MemoryFile(path, "1");
  first.close();
  const error = assertThrows(() => new MemoryFile(path, "1"), LocalError);
  assertStringIncludes(error.message, "in use by another client in this process");
});

fileTest("a bug of the caller does not count as a disk failure, and changes nothing", (path) => {
  using file = new MemoryFile(path, "1");
  file.commit({ ...change, next: 1, written: [{ number: 0, text: bytes("a") }] });
  const text = {} as Uint8Array;
  assertThrows(
    () => file.commit({ ...change, next: 2, written: [{ number: 1, text }] }),
    TypeError,
  );
  file.commit({ ...change, next: 2, written: [{ number: 1, text: bytes("b") }] });
});

fileTest(
  "deadlines and the clock are kept, and a file from before they existed is read",
  (path) => {
    const old = { number: 7, text: bytes("a") };
    makeOld(path, 1, { rx_next: 0, processed: "0" }, old);
    assertEquals(found(path)!.clock, { time: 0, date: 0 });
    assertEquals(found(path)!.outbox.messages, [old]);
    const clock = { time: -5, date: 1e12 };
    const message = { number: 9, text: bytes("b"), expires: 2 ** 40 };
    {
      using file = new MemoryFile(path, "1");
      file.commit({ ...change, clock, first: 5, next: 10, written: [message] });
    }
    assertEquals(found(path)!.clock, clock);
    assertEquals(found(path)!.outbox.messages, [old, message]);
  },
);

fileTest("a commit is on the disk when it returns, and is all or nothing", (path) => {
  using file = new MemoryFile(path, "1");
  file.commit({ ...change, next: 1, written: [{ number: 0, text: bytes("a") }] });
  const twice = [1, 1].map((number) => ({ number, text: bytes("b") }));
  const error = assertThrows(() => file.commit({ ...change, next: 2, written: twice }), LocalError);
  assertEquals(error.code, "STORE_FAILED");
  file.commit({ ...change, next: 3, written: [{ number: 2, text: bytes("c") }] });
  const copy = `${path}.copy`; // what a kill would leave now
  for (const end of ["", "-wal"]) Deno.copyFileSync(path + end, copy + end);
  const { outbox } = found(copy)!;
  assertEquals([outbox.next, outbox.messages.map(({ number }) => number)], [3, [0, 2]]);
});

fileTest("a file that is not a memory, or is damaged, is refused and left unchanged", (path) => {
  const old = new Uint8Array(32);
  old.set(bytes("HFM2"));
  const notes = bytes("somebody's notes, which must not be overwritten".repeat(9));
  for (
    const [contents, ...parts] of [
      [old, "an earlier Holdfast", "may come twice", "delete it to go on"],
      [notes, "some other file"],
      [new Uint8Array(1), "some other file"],
      [new Uint8Array(8192), "some other file"],
    ] as [Uint8Array, ...string[]][]
  ) {
    Deno.writeFileSync(path, contents);
    refused(path, ...parts);
    assertEquals(Deno.readFileSync(path), contents);
  }
  Deno.removeSync(path);
  {
    using file = new MemoryFile(path, "1");
    const written = Array.from({ length: 400 }, (_, number) => ({ number, text: bytes("text") }));
    file.commit({ ...change, next: 400, written });
  }
  const good = Deno.readFileSync(path);
  for (let at = 4096; at < good.length; at += 512) {
    Deno.writeFileSync(path, good.map((byte, i) => i >= at && i < at + 512 ? ~byte : byte));
    const before = Deno.readFileSync(path);
    try {
      assertEquals(found(path)!.outbox.messages.length, 400, "the damage is in unused space");
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      refused(path, "is damaged", "delete it to go on");
    }
    assertEquals(Deno.readFileSync(path), before);
  }
});

fileTest("rows that contradict each other are damage", (path) => {
  new MemoryFile(path, "1")[Symbol.dispose]();
  for (
    const sql of [
      "INSERT INTO client VALUES (1, CAST('1' AS BLOB), 1, 0, 2, 5, 9, 0, 0, NULL)",
      "INSERT INTO outbox VALUES (4, x'61', NULL)",
      "UPDATE outbox SET number = 9",
      "UPDATE outbox SET number = 8, text = x''",
      "DELETE FROM outbox; UPDATE client SET tx_next = 4",
    ]
  ) {
    const db = new DatabaseSync(path);
    db.exec(sql);
    db.close();
    if (sql.startsWith("INSERT INTO client")) assertEquals(found(path)?.outbox.first, 5);
    else refused(path, "is damaged");
  }
});

fileTest("somebody else's database, and one of a later version, are refused", (path) => {
  let db = new DatabaseSync(path);
  db.exec("CREATE TABLE t (x)");
  db.close();
  refused(path, "another program's");
  Deno.removeSync(path);
  new MemoryFile(path, "1")[Symbol.dispose]();
  db = new DatabaseSync(path);
  db.exec("PRAGMA user_version = 9");
  db.close();
  refused(path, "newer Holdfast", "9");
});

fileTest("another device's memory is refused", (path) => {
  {
    using file = new MemoryFile(path, "kitchen");
    file.commit(change);
  }
  refused(path, 'belongs to "kitchen", not to "1"');
});

fileTest("a memory in use is refused by name, in this process and in another", async (path) => {
  {
    using _ = new MemoryFile(path, "1");
    refused(path, "in use by another client in this process");
    const script = new URL("../../tests/support/client_process.ts", import.meta.url).pathname;
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", script, "1", path],
      env: { NO_COLOR: "1" },
    }).output();
    assertEquals(code, 1);
    const said = new TextDecoder().decode(stderr);
    assertStringIncludes(said, `the memory ${JSON.stringify(path)} is in use by another process`);
  }
  found(path);
});

fileTest(
  "a memory that cannot be opened is refused by name, and a refused client locks none",
  (path, folder) => {
    refused(`${folder}/missing/client.state`, "missing");
    refused(folder, "is not a file");
    const wrong: [Partial<ClientOptions>, string][] = [
      [{ dialect: 1 }, "dialect 1"],
      [{ port: 0 }, "port"],
    ];
    for (const [options, name] of wrong) {
      const make = () => new Client({ id: "1", memory: path, ...options });
      assertEquals(assertThrows(make, LocalError, name).code, "BAD_ARGUMENT");
    }
    found(path);
  },
);

fileTest("a message that is longer than this client's lines is named", (path) => {
  {
    using file = new MemoryFile(path, "1");
    file.commit({ ...change, next: 1, written: [{ number: 0, text: bytes("x".repeat(200)) }] });
  }
  const make = () => new Client({ id: "1", memory: path, size: { line: 150 } });
  assertEquals(assertThrows(make, LocalError, "200 bytes").code, "BAD_ARGUMENT");
  assertEquals(found(path)!.outbox.messages.length, 1);
});

smallDiskTest(
  "client memory: on a full disk a commit fails by name, changes nothing, and succeeds when there is room",
  (disk) => {
    const path = `${disk.folder}/client.state`;
    using file = new MemoryFile(path, "1");
    file.commit({ ...change, next: 1, written: [{ number: 0, text: bytes("a") }] });
    disk.fill();
    const much = Array.from(
      { length: 64 },
      (_, i) => ({ number: 1 + i, text: new Uint8Array(9999) }),
    );
    const error = assertThrows(
      () => file.commit({ ...change, next: 65, written: much }),
      LocalError,
    );
    assertEquals(error.code, "STORE_FAILED");
    assertStringIncludes(error.message, JSON.stringify(path));
    disk.empty();
    file.commit({ ...change, next: 65, written: much });
    file.close();
    assertEquals(found(path)!.outbox.messages.length, 65);
  },
);

smallDiskTest(
  "client memory: a new one on a full disk is refused, and can be made later",
  (disk) => {
    const path = `${disk.folder}/client.state`;
    disk.fill();
    refused(path, "cannot be opened");
    disk.empty();
    assertEquals(found(path), undefined);
  },
);
