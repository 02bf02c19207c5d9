/** What must be on the disk of a client's memory before other calls: a real process on a real file. */
import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { prepare } from "./memory_file.ts";
import { callsOf, Disk, mayTrace } from "../../tests/support/syncs.ts";
import { tool, toolTest } from "../../tests/support/tools.ts";

const WORKER = new URL("../../tests/support/syncing_client.ts", import.meta.url).pathname;

/** Enough for some checkpoints. */
const STEPS = 1500;

Deno.test("client memory: a sync also asks the disk to write, where the system would not do so by itself", () => {
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  try {
    const path = `${folder}/memory`;
    const db = new DatabaseSync(path);
    prepare(path, db);
    for (const name of ["fullfsync", "checkpoint_fullfsync"]) {
      assertEquals(db.prepare(`PRAGMA ${name}`).get()?.[name], 1, name);
    }
    db.close();
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

const NAME =
  "client memory: a commit is on the disk when it has returned, also after a loss of power";

const strace = tool("strace", "strace");
const forbidden = strace !== undefined && !mayTrace(strace);

if (forbidden && Deno.env.get("CI") !== "true") {
  Deno.test({ name: `${NAME} [strace may not trace here]`, ignore: true, fn() {} });
} else {
  toolTest(NAME, { strace: "strace" }, async ({ strace }) => {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    try {
      const path = `${Deno.realPathSync(folder)}/memory`;
      const disk = new Disk(path, true);
      const worker = [Deno.execPath(), "run", "-q", "-A", "--no-check", WORKER, path, `${STEPS}`];
      for (const call of await callsOf(strace, ...worker)) disk.see(call);
      assertEquals([...new Set(disk.faults)], []);
      const { commits, checkpoints, restarts } = disk.counts;
      assertEquals(commits, STEPS);
      assert(checkpoints > 1 && restarts > 1, "the rules were applied");
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}
