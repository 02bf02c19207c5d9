/** What `SqliteStore` keeps when processes are killed, files are cut and disks are full. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { TextLineStream } from "@std/streams";
import { LocalError } from "../../protocol/errors.ts";
import { MemoryStore } from "../store.ts";
import { SqliteStore, type SqliteStoreOptions } from "./sqlite.ts";
import { snapshots, step, stepsOf } from "./sqlite_test_steps.ts";

const TEXT_LENGTH = 20;

function faultTest(name: string, fn: (folder: string, t: Deno.TestContext) => Promise<void>): void {
  Deno.test(`sqlite store: ${name}`, async (t) => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      await fn(folder, t);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** A process that takes steps with a store until it is killed. */
class Child {
  /** Steps that were safe at least when it told so last. */
  told = 0;
  #child: Deno.ChildProcess;
  #lines: ReadableStreamDefaultReader<string>;

  constructor(path: string, length = TEXT_LENGTH) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check"],
        ...[import.meta.resolve("./sqlite_test_steps.ts"), path, `${length}`],
      ],
      cwd: import.meta.dirname!,
      stdout: "piped",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
  }

  /** Waits until it has told of more steps. */
  async next(): Promise<void> {
    const { value } = await this.#lines.read();
    assert(value !== undefined, "the child has ended by itself");
    this.told = Number(value);
  }

  /** kill -9. What it told until then is read. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    for (let line; (line = await this.#lines.read()), !line.done;) {
      if (/^\d+$/.test(line.value)) this.told = Math.max(this.told, Number(line.value));
    }
    await this.#child.status;
  }
}

/** A memory that takes the same steps, as far as they are asked for. */
class Model {
  #store = new MemoryStore();
  #steps = 0;

  constructor(readonly length: number) {}

  at(steps: number) {
    assert(steps >= this.#steps);
    while (this.#steps < steps) step(this.#store, ++this.#steps, this.length);
    return snapshots(this.#store);
  }
}

faultTest("20 times kill -9: what was told is there, and nothing half", async (folder) => {
  // Long texts make checkpoints frequent.
  for (const length of [TEXT_LENGTH, 3000]) {
    const path = `${folder}/${length}`;
    const model = new Model(length);
    for (let kills = 0; kills < 10; kills++) {
      const child = new Child(path, length);
      await child.next();
      const delay = Math.random() * 40;
      await new Promise((resolve) => setTimeout(resolve, delay));
      await child.kill();
      const store = new SqliteStore(path);
      const steps = stepsOf(store);
      assert(steps === child.told || steps === child.told + 1, `${steps} of ${child.told} steps`);
      assertEquals(snapshots(store), model.at(steps));
      store.close();
    }
  }
});

/**
 * SQLite's log without what the kill has left behind its last commit, if that came amid the next one. A header of 32
 * bytes, then pages of 4096 behind 24 bytes, whose second word is not 0 where a commit ends.
 */
function committed(log: Uint8Array): Uint8Array {
  const view = new DataView(log.buffer);
  let end = 32;
  for (let at = 32; at + 24 + 4096 <= log.length; at += 24 + 4096) {
    if (view.getUint32(at + 4) !== 0) end = at + 24 + 4096;
  }
  return log.slice(0, end);
}

faultTest("a torn log leaves the last commit or one before, whole", async (folder) => {
  const path = `${folder}/killed`;
  const child = new Child(path);
  while (child.told < 20) await child.next();
  await child.kill();
  const file = Deno.readFileSync(path);
  const log = committed(Deno.readFileSync(`${path}-wal`));
  const opened = (bytes: Uint8Array): number => {
    Deno.writeFileSync(`${folder}/copy`, file);
    Deno.writeFileSync(`${folder}/copy-wal`, bytes);
    const store = new SqliteStore(`${folder}/copy`);
    const steps = stepsOf(store);
    const model = new Model(TEXT_LENGTH);
    if (steps > 0) assertEquals(snapshots(store), model.at(steps));
    store.close();
    return steps;
  };
  const last = opened(log);
  assert(last === child.told || last === child.told + 1);
  const before = new Set<number>();
  for (const missing of [1, 100, 4095, 4096, 4119, 4120]) {
    before.add(opened(log.subarray(0, log.length - missing)));
    const scribbled = log.slice();
    crypto.getRandomValues(scribbled.subarray(log.length - missing));
    before.add(opened(scribbled));
  }
  assertEquals([...before], [last - 1], "only the commit that was torn is missing");
  for (let i = 0; i < 30; i++) {
    const at = Math.floor(Math.random() * log.length);
    assert(opened(log.subarray(0, at)) < last);
    const scribbled = log.slice();
    scribbled[at]! ^= 1 << i % 8;
    assert(opened(scribbled) <= last);
  }
});

faultTest(
  "a store that another process has open is refused, until that one ends",
  async (folder) => {
    const path = `${folder}/db`;
    const child = new Child(path);
    await child.next();
    const error = assertThrows(() => new SqliteStore(path), LocalError);
    assertEquals(error.code, "STORE_UNUSABLE");
    assertStringIncludes(error.message, "in use by another server: stop that one");
    await child.next();
    await child.kill();
    new SqliteStore(path).close();
  },
);

faultTest(
  "it stays locked while it is idle, and after an attempt to open it again",
  async (folder) => {
    const path = `${folder}/db`;
    const store = new SqliteStore(path);
    assertThrows(() => new SqliteStore(path), LocalError);
    const url = import.meta.resolve("./sqlite.ts");
    const code = `import { SqliteStore } from "${url}"; new SqliteStore(${JSON.stringify(path)})`;
    const open = () =>
      new Deno.Command(Deno.execPath(), { args: ["eval", code], cwd: import.meta.dirname! })
        .output();
    const { success, stderr } = await open();
    assert(!success);
    assertStringIncludes(new TextDecoder().decode(stderr), "in use by another server");
    store.close();
    assert((await open()).success);
  },
);

/** A store on a disk whose size can be changed. */
class CrampedStore extends SqliteStore {
  constructor(path: string, options?: SqliteStoreOptions) {
    super(path, options);
  }

  /** Allows so many pages beyond those in use. */
  allow(pages: number): void {
    const { page_count: used } = this.db.prepare("PRAGMA page_count").get()!;
    this.db.exec(`PRAGMA max_page_count = ${Number(used) + pages}`);
  }
}

/** Fills a disk, makes room again, and looks whether anything was lost. */
async function checkFullDisk(path: string, fill: (s: CrampedStore) => void, free: typeof fill) {
  const model = new MemoryStore();
  const store = new CrampedStore(path);
  step(model, 1, 10);
  step(store, 1, 10);
  store.commit();
  fill(store);
  const [record, twin] = [store, model].map((it) => it.get("a")!);
  const safe = record!.safe;
  const text = "x".repeat(1000);
  for (let round = 0; round < 3; round++) {
    for (const it of [store, model]) it.get("b")!.receive("written before the disk is full");
    for (let i = 0; i < 1000; i++) for (const it of [record!, twin!]) it.receive(text);
    const error = assertThrows(() => store.commit(), LocalError);
    assertEquals(error.code, "STORE_FAILED");
    assertStringIncludes(error.message, "make room on its disk");
    assertEquals(record!.safe, safe);
    // The application goes on with what it has.
    for (const it of [record!, twin!]) it.settle();
    for (const it of [record!, twin!]) it.write("y", { overtakes: false, qos: true }, 0);
  }
  const inserted = store.consume(store.get("b")!, [{ sql: "CREATE TABLE t (a)", params: [] }]);
  assertEquals(assertThrows(() => store.commit(), LocalError).code, "STORE_FAILED");
  free(store);
  store.commit();
  await inserted;
  store.get("b")!.process();
  model.get("b")!.process();
  assertEquals(record!.safe, record!.inbox.length);
  assertEquals(snapshots(store), snapshots(model));
  store.close();
  const again = new SqliteStore(path);
  assertEquals(snapshots(again), snapshots(model));
  assertEquals(again.query("SELECT * FROM t", [], "all"), []);
  again.close();
}

faultTest("a full file: nothing is safe, nothing is lost, and it goes on", async (folder) => {
  await checkFullDisk(`${folder}/db`, (store) => store.allow(0), (store) => store.allow(100_000));
});

/** A small file system, if the tests may mount one. */
async function onSmallDisk(folder: string, fn: () => Promise<void> | void): Promise<void> {
  const run = async (command: string, ...args: string[]) =>
    (await new Deno.Command(command, { args, stderr: "null" }).output()).success;
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return;
  if (!await run("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder)) return;
  try {
    await fn();
  } finally {
    assert(await run("umount", "-l", folder));
  }
}

faultTest("a full disk: nothing is safe, nothing is lost, and it goes on", async (folder) => {
  await onSmallDisk(folder, async () => {
    const fill = () => {
      using file = Deno.openSync(`${folder}/filler`, { write: true, create: true });
      const block = new Uint8Array(4096);
      try {
        for (;;) file.writeSync(block);
      } catch {
        // full
      }
    };
    await checkFullDisk(`${folder}/db`, fill, () => Deno.removeSync(`${folder}/filler`));
  });
});

faultTest("a new store on a full disk is refused, and can be made later", async (folder) => {
  await onSmallDisk(folder, () => {
    Deno.writeFileSync(`${folder}/filler`, new Uint8Array(32 * 1024 * 1024 - 4096));
    const error = assertThrows(() => new SqliteStore(`${folder}/db`), LocalError);
    assertEquals(error.code, "STORE_UNUSABLE");
    Deno.removeSync(`${folder}/filler`);
    new SqliteStore(`${folder}/db`).close();
  });
});

faultTest("a file that may only be read is refused", async (folder) => {
  const refused = () => {
    const error = assertThrows(() => new SqliteStore(`${folder}/db`), LocalError);
    assertEquals(error.code, "STORE_UNUSABLE");
    assertStringIncludes(error.message, "write access");
  };
  if (Deno.build.os === "windows") return;
  if (Deno.uid() !== 0) {
    new SqliteStore(`${folder}/db`).close();
    Deno.chmodSync(`${folder}/db`, 0o400);
    return refused();
  }
  await onSmallDisk(folder, async () => { // modes do not bind root
    new SqliteStore(`${folder}/db`).close();
    const args = ["-o", "remount,ro", folder];
    assert((await new Deno.Command("mount", { args }).output()).success);
    refused();
  });
});

faultTest("closing a store that fails says so, and unlocks the file", async (folder) => {
  const store = new CrampedStore(`${folder}/db`);
  store.create("1").receive("a");
  store.commit();
  store.allow(0);
  for (let i = 0; i < 1000; i++) store.get("1")!.receive("x".repeat(1000));
  const consumed = store.consume(store.get("1")!, []);
  assertEquals(assertThrows(() => store.close(), LocalError).code, "STORE_FAILED");
  assertEquals((await assertRejects(() => consumed, LocalError)).code, "STORE_FAILED");
  const again = new SqliteStore(`${folder}/db`);
  assertEquals(again.get("1")!.inbox, ["a"]);
  again.close();
});
