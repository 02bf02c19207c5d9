/**
 * The application that the server runs under load: takes all lines of all devices, and answers a line that starts with
 * `total?` with the same line and the number of lines so far. So a benchmark can prove that acknowledged messages were
 * delivered.
 *
 * @module
 */
import type { Device } from "../../server/mod.ts";

let total = 0;

export default async function sink(device: Device): Promise<void> {
  for await (const line of device) {
    if (line.startsWith("total?")) await device.write(`${line} ${total}`);
    else total++;
  }
}

/** The server itself does not exit when stdin is closed; here it must not outlive its parent process. */
async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}

endWithInput();
