/**
 * The application on the server that is killed. It notes every message that it processes in a table of
 * the store's database, and answers it: message, note and answer are one transaction, so neither a kill
 * nor a restart may part them. What it notes is checked at the end.
 *
 * @module
 */
import type { Device } from "../../server/mod.ts";

/** Where it notes what it has processed, in the order of `position`. */
const TABLE = "CREATE TABLE IF NOT EXISTS processed " +
  "(position INTEGER PRIMARY KEY, device TEXT NOT NULL, line TEXT NOT NULL)";

export default async function note(device: Device): Promise<void> {
  for (;;) {
    await device.consume((line, tx) => {
      tx.run(TABLE);
      tx.run("INSERT INTO processed (device, line) VALUES (?, ?)", device.id, line);
      // It waits for no ack: that may come long after a restart.
      device.write(`re ${line}`).catch(() => {});
    });
  }
}

/** The server itself does not end with its input; here it must not outlive who started it. */
async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}

if (!Deno.stdin.isTerminal()) endWithInput();
