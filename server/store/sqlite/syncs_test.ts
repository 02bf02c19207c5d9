/** Which writes must be on the disk before which others, checked on the system calls of a real process. */
import { assert, assertEquals } from "@std/assert";
import { callsOf, Disk, mayTrace } from "../../../tests/support/syncs.ts";
import { tool, toolTest } from "../../../tests/support/tools.ts";
import { openDatabase, run } from "./database.ts";

const WORKER = new URL("../../../tests/support/syncing_worker.ts", import.meta.url).pathname;

/** Enough for some checkpoints. */
const STEPS = 250;

const strace = tool("strace", "strace");
const forbidden = strace !== undefined && !mayTrace(strace);

Deno.test("sqlite store: a sync also makes the disk write its cache, on systems that do not do so by themselves", () => {
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
  const name = `sqlite store: writes are synced to the disk in time, durability ${durability}`;
  if (forbidden && Deno.env.get("CI") !== "true") {
    Deno.test({ name: `${name} [strace may not trace here]`, ignore: true, fn() {} });
    continue;
  }
  toolTest(name, { strace: "strace" }, async ({ strace }) => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      const deno = [Deno.execPath(), "run", "-q", "-A", "--no-check", WORKER];
      const path = `${Deno.realPathSync(folder)}/db`;
      const disk = new Disk(path, durability === "full");
      for (const call of await callsOf(strace, ...deno, path, durability, `${STEPS}`)) {
        disk.see(call);
      }
      assertEquals([...new Set(disk.faults)], []);
      const { commits, checkpoints, restarts, backups } = disk.counts;
      assertEquals([commits, backups], [STEPS, 1]);
      assert(checkpoints > 1 && restarts > 1, "the rules were applied");
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}
