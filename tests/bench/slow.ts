/**
 * An application with slow transactions in the database: each line says how long, in s.
 *
 * @module
 */
import type { Device } from "../../server/mod.ts";

/** The server itself does not exit when stdin is closed; here it must not outlive its parent process. */
async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}

endWithInput();

export default async function slow(device: Device): Promise<void> {
  for (;;) {
    await device.consume((line, tx) => {
      if (Number(line) > 0) tx.run("SELECT pg_sleep(?::float8)", Number(line));
    });
  }
}
