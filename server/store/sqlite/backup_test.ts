/** Backups of a store that is in use meanwhile. */
import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { snapshots, step, stepping, stepsOf } from "../../../tests/support/store_steps.ts";
import { LocalError } from "../../protocol/errors.ts";
import { MemoryStore } from "../memory.ts";
import { Backup } from "./backup.ts";
import { openDatabase } from "./database.ts";
import { Mark } from "./mark.ts";
import { SqliteStore } from "./sqlite.ts";

const TEXT_LENGTH = 3000;

function backupTest(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test(`sqlite store: ${name}`, async () => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      await fn(folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

function names(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}

/** Commits steps until `over` is settled. @returns how many steps there are then */
async function commitUntil(store: SqliteStore, over: Promise<unknown>): Promise<number> {
  const driver = await stepping(store);
  let isOver = false;
  over.catch(() => {}).finally(() => isOver = true);
  while (!isOver) {
    step(driver, stepsOf(driver) + 1, TEXT_LENGTH);
    await driver.commit();
    await new Promise((resolve) => setTimeout(resolve));
  }
  return stepsOf(driver);
}

async function check(path: string, least: number, most: number): Promise<number> {
  const store = new SqliteStore(path);
  const driver = await stepping(store);
  const steps = stepsOf(driver);
  assert(least <= steps && steps <= most, `${steps} steps, not ${least} to ${most}`);
  const model = await stepping(new MemoryStore());
  for (let i = 1; i <= steps; i++) step(model, i, TEXT_LENGTH);
  assertEquals(snapshots(driver), snapshots(model));
  assertStringIncludes(store.older ?? "", "it is a backup from 20");
  await store.close();
  return steps;
}

/** A store so large that copying it takes some turns. */
async function large(path: string): Promise<SqliteStore> {
  const store = new SqliteStore(path);
  const sql = "CREATE TABLE large AS SELECT randomblob(20000000) AS x";
  await store.commit({ works: [{ statements: [{ sql, params: [] }] }], changes: () => [] });
  return store;
}

backupTest("a backup has all earlier commits, whole, and commits continue", async (folder) => {
  const store = await large(`${folder}/db`);
  let before = 0;
  for (let round = 0; round < 3; round++) {
    const made = store.backup(`${folder}/backup`);
    const after = await commitUntil(store, made);
    await made;
    assert(after > before + 1, "there were commits meanwhile");
    assertEquals(names(folder), ["backup", "db", "db-wal"]);
    assertEquals(Deno.statSync(`${folder}/backup`).mode! & 0o777, 0o600);
    Deno.copyFileSync(`${folder}/backup`, `${folder}/copy`);
    await check(`${folder}/copy`, before, after);
    Deno.removeSync(`${folder}/copy`);
    before = after;
  }
  await store.close();
  assert(Deno.statSync(`${folder}/db`).size > 20_000_000);
  const again = new SqliteStore(`${folder}/db`);
  assertEquals([again.older, stepsOf(await stepping(again))], [undefined, before]);
  await again.close();
});

backupTest("a store stays locked while it is backed up, and afterwards", async (folder) => {
  const store = await large(`${folder}/db`);
  const url = import.meta.resolve("./sqlite.ts");
  const code = `import { SqliteStore } from "${url}"; new SqliteStore("${folder}/db")`;
  const open = async () => {
    const options = { args: ["eval", code], cwd: import.meta.dirname! };
    const { stderr } = await new Deno.Command(Deno.execPath(), options).output();
    return new TextDecoder().decode(stderr).includes("in use by another server");
  };
  const made = store.backup(`${folder}/backup`);
  assert(await open());
  await made;
  assert(await open());
  await store.close();
  assert(!await open());
});

backupTest(
  "a backup fails before the log grows too large, and the log is used again",
  async (folder) => {
    await (await large(`${folder}/db`)).close();
    const file = openDatabase(`${folder}/db`, "normal");
    const mark = new Mark("", file.db, { now: () => 0, date: () => 0 }, true);
    const most = 16 * 1024 * 1024; // more than the log has anyway
    const backup = new Backup(file, mark, () => 0, most);
    file.db.exec("CREATE TABLE noise (x)");
    const insert = file.db.prepare("INSERT INTO noise VALUES (zeroblob(100000))");
    const log = () => Deno.statSync(`${folder}/db-wal`).size;
    const made = backup.to(`${folder}/backup`);
    while (log() <= most) insert.run();
    const { code, message } = await assertRejects(() => made, LocalError);
    assertEquals(code, "BACKUP_FAILED");
    assertStringIncludes(message, `${folder}/backup`);
    assertStringIncludes(message, "written meanwhile: try again later");
    assertEquals(names(folder), ["db", "db-wal"]);
    for (let i = 0; i < 600; i++) insert.run(); // 60 MB
    assert(log() < 2 * most, `${log()} bytes`);
    await backup.to(`${folder}/backup`);
    file.close();
  },
);

backupTest("a backup replaces no file except an older backup or an empty file", async (folder) => {
  const store = new SqliteStore(`${folder}/db`);
  Deno.writeTextFileSync(`${folder}/diary`, "Dear diary");
  Deno.symlinkSync(`${folder}/db`, `${folder}/link`);
  await new SqliteStore(`${folder}/closed`).close();
  const other = new SqliteStore(`${folder}/other`);
  const foreign = new DatabaseSync(`${folder}/foreign`);
  foreign.exec("CREATE TABLE diary (page TEXT)");
  foreign.close();
  const before = Deno.readFileSync(`${folder}/closed`);
  for (
    const [name, why] of [
      ["db", "is the store itself"],
      ["link", "is the store itself"],
      ["diary", "not a backup of a store"],
      ["closed", "not a backup of a store"],
      ["foreign", "not a backup of a store"],
      ["other", "is a store in use"],
      ["", "is a directory"],
    ] as const
  ) {
    const { code, message } = await assertRejects(
      () => store.backup(`${folder}/${name}`),
      LocalError,
    );
    assertEquals(code, "BAD_ARGUMENT");
    assertStringIncludes(message, why);
  }
  if (Deno.build.os !== "windows") {
    const { message } = await assertRejects(() => store.backup("/dev/null"), LocalError);
    assertStringIncludes(message, "is not a regular file");
  }
  Deno.writeTextFileSync(`${folder}/empty`, "");
  await store.backup(`${folder}/empty`);
  assert(Deno.statSync(`${folder}/empty`).size > 0, "an empty file is replaced");
  const failed = await assertRejects(() => store.backup(`${folder}/nowhere/x`), LocalError);
  assertEquals(failed.code, "BACKUP_FAILED");
  assertEquals(Deno.readFileSync(`${folder}/closed`), before);
  assertEquals(names(folder).filter((name) => name.includes(".part")), []);
  await other.close();
  await store.close();
});

backupTest("only one backup at a time is made, and none of a closed store", async (folder) => {
  const store = await large(`${folder}/db`);
  const made = store.backup(`${folder}/one`);
  const second = await assertRejects(() => store.backup(`${folder}/two`), LocalError);
  assertStringIncludes(second.message, "another backup is being made");
  const failed = assertRejects(() => made, LocalError, "the store was closed");
  await Promise.all([store.close(), store.close()]);
  await failed;
  assertEquals(names(folder), ["db"]);
  const closed = await assertRejects(() => store.backup(`${folder}/three`), LocalError);
  assertEquals(closed.code, "STORE_FAILED");
});
