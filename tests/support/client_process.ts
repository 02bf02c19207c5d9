/**
 * A process with a client that has a memory, for `bridge/host/memory_test.ts`: for each line on stdin it asks for a
 * message, says "asked", and then what it got. Arguments: the port, and the file of the memory.
 */
import { createInterface } from "node:readline";
import { Client } from "../../bridge/host/mod.ts";

const [port, memory] = Deno.args;
const client = new Client({
  id: "1",
  port: Number(port),
  timeout: 500,
  memory: memory!,
  size: { window: 1 }, // nothing comes before what is here was acknowledged
});
for await (const _ of createInterface({ input: process.stdin })) {
  const line = client.readline();
  console.log("asked");
  console.log(`got ${await line}`);
}
await client.close();
