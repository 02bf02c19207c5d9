/**
 * The application on the servers of a fleet: it writes every message that it processes to a table, and answers it.
 * Message, row and answer are one transaction.
 *
 * @module
 */
import type { Device } from "../../server/mod.ts";

/** Created by the program that starts the fleet. A device's rows are in the order of processing. */
export const TABLE =
  "CREATE TABLE processed (at BIGINT GENERATED ALWAYS AS IDENTITY, device TEXT, line TEXT)";

export default async function note(device: Device): Promise<void> {
  for (;;) {
    await device.consume((line, tx) => {
      tx.run("INSERT INTO processed (device, line) VALUES (?, ?)", device.id, line);
      tx.write(device.id, `re ${line}`);
    });
  }
}
