/**
 * The application on the servers of a fleet: it notes every message that it processes, and answers it. Message, note and
 * answer are one transaction.
 *
 * @module
 */
import type { Device } from "../../server/mod.ts";

/** Made by whoever starts the fleet. Rows of a device are in the order in which they were processed. */
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
