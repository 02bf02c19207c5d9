/**
 * An application whose transaction takes its time in the database: what a line says is how long, in s.
 *
 * @module
 */
import type { Device } from "../../server/mod.ts";

/** The server itself does not end with its input; here it must not outlive who started it. */
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
