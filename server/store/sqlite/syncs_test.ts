/** What must be on the disk before something else happens: the calls of a real process on a real file. */
import { assert, assertEquals } from "@std/assert";
import { dirname } from "node:path";
import { type Call, callsOf, mayTrace } from "../../../tests/support/syncs.ts";
import { tool, toolTest } from "../../../tests/support/tools.ts";
import { openDatabase, run } from "./database.ts";

const WORKER = new URL("../../../tests/support/syncing_worker.ts", import.meta.url).pathname;

/** Enough for some checkpoints. */
const STEPS = 250;

const strace = tool("strace", "strace");
const forbidden = strace !== undefined && !mayTrace(strace);

/** What was written and not synced, and what was seen, call by call. */
class Disk {
  readonly unsynced = new Set<string>();
  readonly counts = { commits: 0, checkpoints: 0, restarts: 0, backups: 0 };
  readonly faults: string[] = [];
  #folderSynced = 0; // number of the call
  #renamed = 0;
  #calls = 0;

  constructor(readonly path: string, readonly durability: "full" | "normal") {}

  see(call: Call): void {
    this.#calls++;
    switch (call.call) {
      case "write":
        return this.#write(call.path, call.offset);
      case "sync":
        if (call.path === dirname(this.path)) this.#folderSynced = this.#calls;
        this.unsynced.delete(call.path);
        return;
      case "rename":
        if (call.to !== `${this.path}-backup`) return;
        this.#renamed = this.#calls;
        this.#mustBeSynced(call.from, "a backup takes its place");
        return;
      case "say":
        return call.text.startsWith("commit") ? this.#commit() : this.#backup();
    }
  }

  #write(path: string, offset: number | undefined): void {
    if (!path.startsWith(this.path)) return;
    const log = `${this.path}-wal`;
    if (path === this.path && this.counts.commits > 0) {
      if (!this.unsynced.has(path)) this.counts.checkpoints++;
      this.#mustBeSynced(log, "its pages are moved into the file");
    }
    if (path === log && offset === 0 && this.counts.commits > 0) {
      this.counts.restarts++;
      this.#mustBeSynced(this.path, "the log begins again");
    }
    this.unsynced.add(path);
  }

  #commit(): void {
    this.counts.commits++;
    if (this.#folderSynced === 0) this.faults.push("the files' names may be lost");
    if (this.durability === "full") this.#mustBeSynced(`${this.path}-wal`, "a commit returns");
  }

  #backup(): void {
    this.counts.backups++;
    if (this.#renamed > this.#folderSynced) this.faults.push("a backup's name may be lost");
  }

  #mustBeSynced(path: string, before: string): void {
    if (this.unsynced.has(path)) this.faults.push(`${path} is not synced before ${before}`);
  }
}

Deno.test("sqlite store: a disk is asked to write, too, where a sync does not say so by itself", () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  try {
    for (const durability of ["full", "normal"] as const) {
      const { db, close } = openDatabase(`${folder}/${durability}`, durability);
      const values = ["fullfsync", "checkpoint_fullfsync"].map((name) =>
        run(db, `PRAGMA ${name}`)[name]
      );
      assertEquals(values, durability === "full" ? [1, 1] : [0, 1]);
      close();
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

for (const durability of ["full", "normal"] as const) {
  const name = `sqlite store: what must be on the disk is there in time, durability ${durability}`;
  if (forbidden && Deno.env.get("CI") !== "true") {
    Deno.test({ name: `${name} [strace may not trace here]`, ignore: true, fn() {} });
    continue;
  }
  toolTest(name, { strace: "strace" }, async ({ strace }) => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      const deno = [Deno.execPath(), "run", "-A", "--no-check", WORKER];
      const path = `${Deno.realPathSync(folder)}/db`;
      const disk = new Disk(path, durability);
      for (const call of await callsOf(strace, ...deno, path, durability, `${STEPS}`)) {
        disk.see(call);
      }
      assertEquals([...new Set(disk.faults)], []);
      const { commits, checkpoints, restarts, backups } = disk.counts;
      assertEquals([commits, backups], [STEPS, 1]);
      assert(checkpoints > 1 && restarts > 1, "the rules were put to the test");
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}
