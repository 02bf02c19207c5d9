/**
 * A process that commits to a client's memory, and reports each commit when it has returned. For `syncs.ts`:
 * `deno run -A syncing_client.ts PATH STEPS`.
 */
import { MemoryFile } from "../../bridge/host/memory_file.ts";

/** Long enough to cause a checkpoint now and then. */
const TEXT = new Uint8Array(3000).fill(120);

const [path = "", steps = ""] = Deno.args;

const progress = { position: { epoch: 0, next: 0 } };
using memory = new MemoryFile(path, "1");
for (let n = 0; n < Number(steps); n++) {
  const written = [{ number: n, text: TEXT }];
  const first = Math.max(0, n - 3);
  const clock = { time: n, date: 0 };
  memory.commit({ progress, clock, epoch: 1, first, next: n + 1, withdrawn: [], written });
  Deno.stdout.writeSync(new TextEncoder().encode("commit\n"));
}
