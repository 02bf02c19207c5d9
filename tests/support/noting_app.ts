/**
 * The application on the server that is killed. It writes every message that it processes to a table of the store's
 * database, and answers it: message, row and answer are one transaction, so neither a kill nor a restart may separate
 * them. The rows are checked at the end.
 *
 * @module
 */
import type { Device } from "../../server/mod.ts";

/** The table of processed messages, in the order of `position`. */
const TABLE = "CREATE TABLE IF NOT EXISTS processed " +
  "(position INTEGER PRIMARY KEY, device TEXT NOT NULL, line TEXT NOT NULL)";

export default async function note(device: Device): Promise<void> {
  for (;;) {
    await device.consume((line, tx) => {
      tx.run(TABLE);
      tx.run("INSERT INTO processed (device, line) VALUES (?, ?)", device.id, line);
      // It does not wait for the ack, which may come long after a restart.
      device.write(`re ${line}`).catch(() => {});
    });
  }
}

/** The server itself does not exit when stdin is closed; here it must not outlive its parent process. */
async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}

if (!Deno.stdin.isTerminal()) endWithInput();
