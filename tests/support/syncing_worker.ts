/**
 * A process that commits to a store, and reports each commit when it has returned; then a backup. For `syncs.ts`:
 * `deno run -A syncing_worker.ts PATH DURABILITY STEPS`.
 */
import { type Durability, SqliteStore } from "../../server/mod.ts";
import { step, stepping } from "./store_steps.ts";

/** Long enough to cause a checkpoint now and then. */
const TEXT_LENGTH = 3000;

const [path = "", durability = "full", steps = ""] = Deno.args;

function say(what: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${what}\n`));
}

const store = new SqliteStore(path, { durability: durability as Durability });
const driver = await stepping(store);
for (let i = 1; i <= Number(steps); i++) {
  step(driver, i, TEXT_LENGTH);
  await driver.commit();
  say("commit");
}
await store.backup(`${path}-backup`);
say("backup");
