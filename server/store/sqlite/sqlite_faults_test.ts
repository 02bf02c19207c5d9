/** `SqliteStore` when processes are killed, logs are torn and disks are full. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { TextLineStream } from "@std/streams";
import { abandon, image, restore, tear, torn } from "../../../tests/support/crash.ts";
import { StoreDriver } from "../../../tests/support/store_driver.ts";
import { LocalError } from "../../protocol/errors.ts";
import { MemoryStore } from "../memory.ts";
import { SqliteStore } from "./sqlite.ts";
import { snapshots, step, stepping, stepsOf } from "../../../tests/support/store_steps.ts";
import { smallDiskTest } from "../../../tests/support/small_disk.ts";

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

/** A process that commits steps to a store until it is killed. */
class Child {
  /** The number of safe steps in its last report; there may be one more. */
  told = 0;
  #child: Deno.ChildProcess;
  #lines: ReadableStreamDefaultReader<string>;

  constructor(path: string, length = TEXT_LENGTH) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-check"],
        ...[import.meta.resolve("../../../tests/support/store_steps.ts"), path, `${length}`],
      ],
      cwd: import.meta.dirname!,
      stdout: "piped",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
  }

  /** Waits until it reports more steps. */
  async next(): Promise<void> {
    const { value } = await this.#lines.read();
    assert(value !== undefined, "the child has ended by itself");
    this.told = Number(value);
  }

  /** kill -9. Its reports until then are read. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    for (let line; (line = await this.#lines.read()), !line.done;) {
      if (/^\d+$/.test(line.value)) this.told = Math.max(this.told, Number(line.value));
    }
    await this.#child.status;
  }
}

/** A memory store that takes the same steps, up to a given number. */
class Model {
  #driver = stepping(new MemoryStore());
  #steps = 0;

  constructor(readonly length: number) {}

  async at(steps: number) {
    assert(steps >= this.#steps);
    const driver = await this.#driver;
    while (this.#steps < steps) step(driver, ++this.#steps, this.length);
    return snapshots(driver);
  }
}

faultTest("every step reported before kill -9 is there, and none in part", async (folder) => {
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
      const driver = await stepping(store);
      const steps = stepsOf(driver);
      assert(steps === child.told || steps === child.told + 1, `${steps} of ${child.told} steps`);
      assertEquals(snapshots(driver), await model.at(steps));
      await store.close();
    }
  }
});

/**
 * SQLite's log without the bytes after its last commit, which a kill amid the next one leaves. A header of 32
 * bytes, then pages of 4096, each after 24 bytes, whose second word is not 0 where a commit ends.
 */
function committed(log: Uint8Array): Uint8Array {
  const view = new DataView(log.buffer);
  let end = 32;
  for (let at = 32; at + 24 + 4096 <= log.length; at += 24 + 4096) {
    if (view.getUint32(at + 4) !== 0) end = at + 24 + 4096;
  }
  return log.slice(0, end);
}

faultTest("a torn log loses whole commits, and only from its end", async (folder) => {
  const path = `${folder}/killed`;
  const child = new Child(path);
  while (child.told < 20) await child.next();
  await child.kill();
  const file = Deno.readFileSync(path);
  const log = committed(Deno.readFileSync(`${path}-wal`));
  const opened = async (bytes: Uint8Array): Promise<number> => {
    Deno.writeFileSync(`${folder}/copy`, file);
    Deno.writeFileSync(`${folder}/copy-wal`, bytes);
    const store = new SqliteStore(`${folder}/copy`);
    const driver = await stepping(store);
    const steps = stepsOf(driver);
    assertEquals(snapshots(driver), await new Model(TEXT_LENGTH).at(steps));
    await store.close();
    return steps;
  };
  const last = await opened(log);
  assert(last === child.told || last === child.told + 1);
  const before = new Set<number>();
  for (const missing of [1, 100, 4095, 4096, 4119, 4120]) {
    before.add(await opened(log.subarray(0, log.length - missing)));
    const scribbled = log.slice();
    crypto.getRandomValues(scribbled.subarray(log.length - missing));
    before.add(await opened(scribbled));
  }
  assertEquals([...before], [last - 1], "only the commit that was torn is missing");
  for (let i = 0; i < 30; i++) {
    const at = Math.floor(Math.random() * log.length);
    assert(await opened(log.subarray(0, at)) < last);
    const scribbled = log.slice();
    scribbled[at]! ^= 1 << i % 8;
    assert(await opened(scribbled) <= last);
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
    await new SqliteStore(path).close();
  },
);

faultTest(
  "a store stays locked while it is idle, and after an attempt to open it again",
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
    await store.close();
    assert((await open()).success);
  },
);

faultTest(
  "a power failure in a commit leaves all or nothing of it, wherever its bytes end",
  async (folder) => {
    const path = `${folder}/db`;
    const store = new SqliteStore(path, { durability: "normal" });
    const driver = await stepping(store);
    const model = new Model(TEXT_LENGTH);
    for (let i = 1; i <= 60; i++) {
      step(driver, i, TEXT_LENGTH);
      const before = image(path);
      const old = await model.at(i - 1);
      await driver.commit();
      const after = image(path);
      const { from, to } = tear(before, after)!;
      const now = await model.at(i);
      const middle = from + Math.floor(Math.random() * (to - from));
      for (const at of [from, middle, to - 1, to]) {
        restore(`${folder}/copy`, torn(before, after, at));
        const copy = new SqliteStore(`${folder}/copy`);
        const found = await stepping(copy);
        assertEquals(snapshots(found), at === to ? now : old, `step ${i}, byte ${at} of ${to}`);
        await abandon(copy);
      }
    }
    await store.close();
  },
);

faultTest("abandoning a store leaves its files as they are", async (folder) => {
  const path = `${folder}/db`;
  const store = new SqliteStore(path);
  const driver = await stepping(store);
  step(driver, 1, TEXT_LENGTH);
  await driver.commit();
  step(driver, 2, TEXT_LENGTH);
  const before = image(path);
  await abandon(store);
  assertEquals(image(path), before);
  assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["db", "db-wal"]);
  const again = new SqliteStore(path);
  assertEquals(stepsOf(await stepping(again)), 1);
  await again.close();
});

/** A store on a disk whose size can be changed. */
class CrampedStore extends SqliteStore {
  /** Allows this many pages beyond those in use. */
  allow(pages: number): void {
    const [{ page_count: used } = {}] = this.execute("PRAGMA page_count");
    this.execute(`PRAGMA max_page_count = ${Number(used) + pages}`);
  }
}

/** Fills a disk, makes room again, and checks that nothing was lost. */
async function checkFullDisk(path: string, fill: (s: CrampedStore) => void, free: typeof fill) {
  const store = new CrampedStore(path);
  const drivers = [await stepping(store), await stepping(new MemoryStore())] as const;
  const [driver, model] = drivers;
  const fails = async () => {
    const error = await assertRejects(() => driver.commit(), LocalError);
    assertEquals(error.code, "STORE_FAILED");
    assertStringIncludes(error.message, "make room on its disk");
  };
  for (const it of drivers) step(it, 1, 10);
  await driver.commit();
  assertEquals(driver.record("b").inbox.length > 0, true);
  fill(store);
  // A statement that fails because of the disk is not refused, but waits until the disk works.
  const sql = `CREATE TABLE t AS SELECT zeroblob(100000) AS x`;
  const work = driver.consume("b", sql);
  await fails();
  const { safe } = driver.record("a");
  for (let round = 0; round < 3; round++) {
    for (const it of drivers) {
      it.record("b").receive("written before the disk is full");
      for (let i = 0; i < 1000; i++) it.record("a").receive("x".repeat(1000));
    }
    await fails();
    assertEquals(driver.record("a").safe, safe);
    // The application continues with the messages that it has.
    for (const it of drivers) {
      it.record("a").settle();
      it.record("a").write("y", { overtakes: false, qos: true }, 0);
    }
  }
  free(store);
  assertEquals((await driver.commit()).has(work), false);
  model.record("b").process();
  assertEquals(driver.record("a").safe, driver.record("a").inbox.length);
  assertEquals(snapshots(driver), snapshots(model));
  await store.close();
  const again = new SqliteStore(path);
  assertEquals(snapshots(await stepping(again)), snapshots(model));
  assertEquals((await again.query("SELECT length(x) FROM t", [], "all")).length, 1);
  await again.close();
}

faultTest("while the file is full commits fail, but nothing is lost", async (folder) => {
  await checkFullDisk(`${folder}/db`, (store) => store.allow(0), (store) => store.allow(100_000));
});

smallDiskTest(
  "sqlite store: while the disk is full commits fail, but nothing is lost",
  ({ folder, fill, empty }) => checkFullDisk(`${folder}/db`, fill, empty),
);

smallDiskTest(
  "sqlite store: a new store on a full disk is refused, and can be made later",
  async ({ folder }) => {
    Deno.writeFileSync(`${folder}/filler`, new Uint8Array(32 * 1024 * 1024 - 4096));
    const error = assertThrows(() => new SqliteStore(`${folder}/db`), LocalError);
    assertEquals(error.code, "STORE_UNUSABLE");
    Deno.removeSync(`${folder}/filler`);
    await new SqliteStore(`${folder}/db`).close();
  },
);

function assertReadOnly(path: string): void {
  const error = assertThrows(() => new SqliteStore(path), LocalError);
  assertEquals(error.code, "STORE_UNUSABLE");
  assertStringIncludes(error.message, "write access");
}

const READ_ONLY = "a read-only file is refused";
if (Deno.uid() === 0) {
  smallDiskTest(`sqlite store: ${READ_ONLY}`, async ({ folder }) => { // file modes do not restrict root
    await new SqliteStore(`${folder}/db`).close();
    const args = ["-o", "remount,ro", folder];
    assert((await new Deno.Command("mount", { args }).output()).success);
    assertReadOnly(`${folder}/db`);
  });
} else {
  faultTest(READ_ONLY, async (folder) => {
    if (Deno.build.os === "windows") return;
    await new SqliteStore(`${folder}/db`).close();
    Deno.chmodSync(`${folder}/db`, 0o400);
    assertReadOnly(`${folder}/db`);
  });
}

faultTest("a failing store can be closed, which unlocks the file", async (folder) => {
  const store = new CrampedStore(`${folder}/db`);
  const driver = await StoreDriver.on(store);
  const record = await driver.acquire("1");
  record.receive("a");
  await driver.commit();
  store.allow(0);
  for (let i = 0; i < 1000; i++) record.receive("x".repeat(1000));
  await assertRejects(() => driver.commit(), LocalError, "make room");
  await store.close();
  const again = new SqliteStore(`${folder}/db`);
  assertEquals((await StoreDriver.on(again)).record("1").inbox, ["a"]);
  await again.close();
});
